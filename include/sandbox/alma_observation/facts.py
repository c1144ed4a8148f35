"""What the simulated MOUS holds: names, numbers, and the words that go with the data wherever they are shown.

Needs nothing of CASA. The numbers are what a person, or a test, may expect of its images; all are seen with CASA 6.7.
"""

from __future__ import annotations

#: The MOUS and its only ASDM, as the files that are made call them; the ingestion gives them UIDs of their own.
MOUS = "uid___A001_X1288_X3f"
ASDM = "uid___A002_Xd5a7c2_X1f3"
PROJECT = "2019.1.00001.S"
#: The recipe whose manifest lies beside the calibration's other products.
CALIBRATION_RECIPE = "hifa_calimage"
SESSION = "session_1"

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

#: A point at the phase centre and one beside it; Jy, arcseconds to the east and north. Without a line: the continuum.
CENTRAL_FLUX = 0.050
OTHER_FLUX = 0.020
OTHER_OFFSET = (5.0, 4.0)
#: The line, CO(2-1), is in these channels of spectral window 0 and no others, and is brightest in the middle.
LINE_REST_FREQUENCY = 230.538e9  # Hz
LINE_WINDOW = 0
LINE_CHANNELS = (9, 15)
#: Its flux density in the middle channel in Jy, and the size of the emission at half power in arcseconds.
LINE_FLUX = 0.300
LINE_SIZE = 1.5
#: How far the emission moves from one channel to the next, in arcseconds to the east: it rotates.
LINE_DRIFT = 0.3

#: The antenna that sees noise of its own from this time to the end of the target's last scan, UTC.
DAMAGED_ANTENNA = "DV07"
DAMAGED_FROM, DAMAGED_TO = "2020/01/15/01:18:30", "2020/01/15/01:22:00"
#: The line of a flag template for targets that takes the damaged part out.
CURING_FLAG = (
    f"mode='manual' antenna='{DAMAGED_ANTENNA}' timerange='{DAMAGED_FROM}~{DAMAGED_TO}' "
    f"reason='{DAMAGED_ANTENNA}_incoherent'"
)

#: Name of the file, inside the ASDM, that says what the data are. The sandbox's pipeline shows it in the weblog.
README_NAME = "README.txt"
README = f"""\
These data are SIMULATED: no antenna received them. CASA's simulator laid out an observation as ALMA makes
them, on 15 January 2020: 16 antennas of 12 m on real pads of a compact configuration, two spectral windows of
{CHANNELS} channels of 2 MHz, XX and YY; {BANDPASS_CALIBRATOR} was observed for bandpass and flux density,
{PHASE_CALIBRATOR} for phases, and the target {TARGET}. Visibilities were computed for

- {BANDPASS_CALIBRATOR}, a point of {BANDPASS_CALIBRATOR_FLUX} Jy, and {PHASE_CALIBRATOR}, a point of
  {PHASE_CALIBRATOR_FLUX} Jy (the quasars of these names have other flux densities);
- {TARGET}: a point of {CENTRAL_FLUX * 1000:.0f} mJy in the middle and one of {OTHER_FLUX * 1000:.0f} mJy at
  {OTHER_OFFSET[0]:g}" east, {OTHER_OFFSET[1]:g}" north of it, and CO(2-1) from a rotating cloud of
  {LINE_SIZE}" in channels {LINE_CHANNELS[0]} to {LINE_CHANNELS[1]} of spectral window {LINE_WINDOW};

and corrupted by a bandpass, an amplitude and a wandering phase of each antenna and by noise. Two online flags were made
up. DAMAGED ON PURPOSE: in the target's last scan, from {DAMAGED_FROM[-8:]} UTC on, antenna {DAMAGED_ANTENNA} sees
strong noise that is the same in all channels.
"""
