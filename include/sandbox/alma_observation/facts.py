"""What the simulated MOUS holds: names, numbers, and the words that go with the data wherever they are shown.

Needs nothing of CASA. Of the restored target, with pixels of 0.2 arcseconds and Briggs weights of robust 0.5, the beam
is round, 0.9 arcseconds, and tclean gives (in mJy a beam, all of them seen with CASA 6.7):

===============================================  ===========  ======================
image                                            as restored  with :data:`CURING_FLAG`
===============================================  ===========  ======================
continuum (:data:`CONTINUUM`), peak              45.4         49.9
continuum, the other point (pbcor)               16.5         19.5
continuum, rms of the residual                   1.3          0.16
cube (:data:`CUBE`), peak, continuum included    128          130 (channel 7, 9 km/s)
cube, peak where there is no line                46-50        49-52
cube, rms of a residual where there is no line   1.7-1.9      0.9-1.0
===============================================  ===========  ======================

The line's emission is seen from 3 to 18 km/s (LSRK). CASA makes no cube whose channels are narrower than those of the
data, 2.6012 km/s; they reach from -18 to 41 km/s.
"""

from __future__ import annotations

#: The MOUS and its ASDMs, as the files that are made call them; the ingestion gives them UIDs of their own. Each ASDM
#: is of a session of its own, and was observed on a day of its own. The usual MOUS has the first only.
MOUS = "uid___A001_X1288_X3f"
ASDMS = ("uid___A002_Xd5a7c2_X1f3", "uid___A002_Xd5a9e4_X2b7")
ASDM = ASDMS[0]
DAYS = ("2020/01/15", "2020/01/16")
PROJECT = "2019.1.00001.S"
#: The recipe whose manifest is beside the calibration's other products.
CALIBRATION_RECIPE = "hifa_calimage"

BANDPASS_CALIBRATOR = "J0423-0120"
PHASE_CALIBRATOR = "J0501-0159"
TARGET = "sim_disk"
#: Flux densities in Jy at the middle of both spectral windows; the first one is known to the calibration.
BANDPASS_CALIBRATOR_FLUX = 2.0
PHASE_CALIBRATOR_FLUX = 0.6

#: The spectral windows: number, frequency of the first channel in Hz (as the observatory sees it, TOPO).
SPECTRAL_WINDOWS = {0: 230.4785e9, 1: 232.5000e9}
CHANNELS = 24
CHANNEL_WIDTH = 2.0e6  # Hz

#: Where in the spectrum the data are, and their nominal resolution: what the archive knows of the MOUS.
FREQUENCY_GHZ = 231.5
RESOLUTION_ARCSEC = 0.9

#: A point at the phase centre and one beside it; Jy, arcseconds to the east and north. Without a line: the continuum.
CENTRAL_FLUX = 0.050
OTHER_FLUX = 0.020
OTHER_OFFSET = (5.0, 4.0)
#: The line, CO(2-1), is in these channels of spectral window 0 and no others, and is brightest in the middle.
LINE_REST_FREQUENCY = 230.538e9  # Hz
LINE_WINDOW = 0
LINE_CHANNELS = (9, 15)
#: Spectral windows and channels without a line, in CASA's words, and a cube that shows it all.
CONTINUUM = "0:0~7;17~23,1"
CUBE = {"start": "-12km/s", "width": "3km/s", "nchan": 17, "restfreq": "230.538GHz"}
#: The line's flux density in the middle channel in Jy, and the size of the emission at half power in arcseconds.
LINE_FLUX = 0.300
LINE_SIZE = 1.5
#: How far the emission moves from one channel to the next, in arcseconds to the east: it rotates.
LINE_DRIFT = 0.3

#: The antenna that sees noise of its own from this time to the end of the target's last scan, UTC; in the first session
#: only.
DAMAGED_ANTENNA = "DV07"
DAMAGED_FROM, DAMAGED_TO = "2020/01/15/01:18:30", "2020/01/15/01:22:00"
#: The line of a flag template for targets that takes the damaged part out.
CURING_FLAG = (
    f"mode='manual' antenna='{DAMAGED_ANTENNA}' timerange='{DAMAGED_FROM}~{DAMAGED_TO}' "
    f"reason='{DAMAGED_ANTENNA}_incoherent'"
)

#: Name of the file, inside the ASDM, that says what the data are. The sandbox's pipeline shows it in the weblog.
README_NAME = "README.txt"
_README = f"""\
These data are SIMULATED: no antenna received them. CASA's simulator laid out an observation as ALMA makes
them, on {{day}}: 16 antennas of 12 m on real pads of a compact configuration, two spectral windows of
{CHANNELS} channels of 2 MHz, XX and YY; {BANDPASS_CALIBRATOR} was observed for bandpass and flux density,
{PHASE_CALIBRATOR} for phases, and the target {TARGET}. Visibilities were computed for

- {BANDPASS_CALIBRATOR}, a point of {BANDPASS_CALIBRATOR_FLUX} Jy, and {PHASE_CALIBRATOR}, a point of
  {PHASE_CALIBRATOR_FLUX} Jy (the quasars of these names have other flux densities);
- {TARGET}: a point of {CENTRAL_FLUX * 1000:.0f} mJy in the middle and one of {OTHER_FLUX * 1000:.0f} mJy at
  {OTHER_OFFSET[0]:g}" east, {OTHER_OFFSET[1]:g}" north of it, and CO(2-1) from a rotating cloud of
  {LINE_SIZE}" in channels {LINE_CHANNELS[0]} to {LINE_CHANNELS[1]} of spectral window {LINE_WINDOW};

and corrupted by a bandpass, an amplitude and a wandering phase of each antenna and by noise. Two online flags were made
up.
"""
_DAMAGE = f"""\
DAMAGED ON PURPOSE: in the target's last scan, from {DAMAGED_FROM[-8:]} UTC on, antenna {DAMAGED_ANTENNA} sees strong
noise that is the same in all channels.
"""


def readme(session: int) -> str:
    """Return the text of that file.

    Args:
        session: the session that the data are of, from 1.
    """
    return _README.format(day=DAYS[session - 1]) + (_DAMAGE if session == 1 else "")


def request_for(mous: str) -> dict[str, object]:
    """Return what a user asks for in the demo, as the parameters of the DAG ``alma_imaging``.

    Args:
        mous: the UID that the ingestion gave the MOUS.
    """
    cube = {
        "field": TARGET,
        "spw": LINE_WINDOW,
        "rest_frequency_ghz": LINE_REST_FREQUENCY / 1e9,
        "start": CUBE["start"],
        "width": CUBE["width"],
        "channels": CUBE["nchan"],
    }
    return {
        "mous": mous,
        "fields": [TARGET],
        "continuum": True,
        "cubes": [cube],
        "angular_resolution_arcsec": RESOLUTION_ARCSEC,
        "asked_by": "a user of the archive",
        "asked_by_email": "user@example.org",
    }
