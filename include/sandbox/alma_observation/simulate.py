"""The measurement set of the simulated observation, laid out by CASA's simulator; runs in CASA's Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.alma_observation import corruption, facts, sky
from sandbox.observation.sdm_tables import ObservedScan
from sandbox.pipeline.tables import open_table

# Pads of ALMA and where they are, in metres to the east, the north and up from the array's centre (CASA's list of the
# second most compact configuration of cycle 10), and the antennas that stand on them here.
_ANTENNAS = (
    ("DA41", "A001", -33.894, -712.752, -2.330),
    ("DA42", "A002", -17.454, -709.609, -2.329),
    ("DA43", "A005", 25.246, -744.432, -2.337),
    ("DA45", "A011", 37.826, -735.876, -2.485),
    ("DA46", "A015", 10.740, -659.567, -2.726),
    ("DA48", "A023", -59.404, -667.572, -2.130),
    ("DA50", "A024", -74.475, -684.657, -2.129),
    ("DA52", "A026", -86.873, -732.262, -1.929),
    ("DV01", "A050", -15.046, -764.335, -2.335),
    ("DV03", "A058", -45.350, -846.397, -1.849),
    ("DV05", "A060", -5.289, -862.854, -1.547),
    ("DV07", "A062", -79.544, -828.940, -1.296),
    ("DV10", "A068", -140.507, -651.164, -0.635),
    ("DV12", "A069", -159.552, -789.469, -0.085),
    ("DV15", "A072", 89.094, -599.960, -5.662),
    ("DV20", "A074", 103.717, -847.992, -4.492),
)
_DIRECTIONS = {
    facts.BANDPASS_CALIBRATOR: ("04h23m15.8s", "-01d20m33.1s"),
    facts.PHASE_CALIBRATOR: ("05h01m12.8s", "-01d59m14.3s"),
    facts.TARGET: ("04h45m00.0s", "-02d00m00.0s"),
}
_INTENTS = {
    facts.BANDPASS_CALIBRATOR: ("CALIBRATE_BANDPASS", "CALIBRATE_FLUX"),
    facts.PHASE_CALIBRATOR: ("CALIBRATE_PHASE",),
    facts.TARGET: ("OBSERVE_TARGET",),
}
_SCHEDULE = (
    (facts.BANDPASS_CALIBRATOR, 180),
    (facts.PHASE_CALIBRATOR, 40),
    *((facts.TARGET, 300), (facts.PHASE_CALIBRATOR, 40)) * 3,
)
_START_SECONDS = 3600
_GAP_SECONDS = 20
_INTEGRATION_SECONDS = 10


@dataclass(frozen=True)
class _Scan:
    field: str
    start: int
    end: int


def simulate(vis: str, session: int = 1) -> list[ObservedScan]:
    """Make the measurement set, with a FIELD row of its own for each scan, as exportasdm needs it.

    Args:
        vis: its directory, which must not exist.
        session: the session in which it is observed, from 1; only in the first is an antenna damaged.

    Returns:
        The scans in the order of time.
    """
    scans = list(_plan())
    _lay_out(vis, scans, facts.DAYS[session - 1])
    _tidy(vis)
    _observe(vis, session)
    _one_field_a_scan(vis, scans)
    numbers = list(_DIRECTIONS)
    return [ObservedScan(numbers.index(scan.field), scan.field, _INTENTS[scan.field]) for scan in scans]


def _plan() -> Iterator[_Scan]:
    start = _START_SECONDS
    for field, seconds in _SCHEDULE:
        yield _Scan(field, start, start + seconds)
        start += seconds + _GAP_SECONDS


def _lay_out(vis: str, scans: list[_Scan], day: str) -> None:
    import casatools

    measures = casatools.measures()
    with _simulator(vis) as simulator:
        names, pads, *places = zip(*_ANTENNAS, strict=True)
        east, north, up = (np.array(coordinates) for coordinates in places)
        simulator.setconfig(
            telescopename="ALMA",
            x=east,
            y=north,
            z=up,
            dishdiameter=np.full(len(names), 12.0),
            mount=["alt-az"],
            antname=list(names),
            padname=list(pads),
            coordsystem="local",
            referencelocation=measures.observatory("ALMA"),
        )
        for number, frequency in facts.SPECTRAL_WINDOWS.items():
            simulator.setspwindow(
                spwname=_window_name(number),
                freq=f"{frequency}Hz",
                deltafreq=f"{facts.CHANNEL_WIDTH}Hz",
                freqresolution=f"{facts.CHANNEL_WIDTH}Hz",
                nchannels=facts.CHANNELS,
                stokes="XX YY",
            )
        simulator.setfeed(mode="perfect X Y", pol=[""])
        simulator.setlimits(shadowlimit=0.001, elevationlimit="10deg")
        simulator.setauto(autocorrwt=0.0)
        for field, (right_ascension, declination) in _DIRECTIONS.items():
            direction = measures.direction("J2000", right_ascension, declination)
            simulator.setfield(sourcename=field, sourcedirection=direction)
        simulator.settimes(
            integrationtime=f"{_INTEGRATION_SECONDS}s",
            usehourangle=False,
            # The simulator takes what it is given for TAI and writes it as UTC.
            referencetime=measures.epoch("TAI", day),
        )
        for scan in scans:
            for number in facts.SPECTRAL_WINDOWS:
                window = _window_name(number)
                simulator.observe(scan.field, window, starttime=f"{scan.start}s", stoptime=f"{scan.end}s")
    measures.done()


def _window_name(number: int) -> str:
    return f"spw{number}"


@contextmanager
def _simulator(vis: str) -> Iterator[Any]:
    import casatools

    simulator = casatools.simulator()
    simulator.open(vis)
    try:
        yield simulator
    finally:
        simulator.close()
        simulator.done()


def _tidy(vis: str) -> None:
    """Make of what the simulator wrote what exportasdm can read."""
    with open_table(f"{vis}/DATA_DESCRIPTION", writable=True) as table:
        table.putcol("POLARIZATION_ID", np.zeros(table.nrows(), dtype=np.int32))  # they are all the same
    with open_table(f"{vis}/POLARIZATION", writable=True) as table:
        table.removerows(list(range(1, table.nrows())))
    with open_table(f"{vis}/POINTING", writable=True) as table:
        table.removerows(list(range(table.nrows())))  # one an antenna and spectral window: exportasdm wants no doubles
    with open_table(vis, writable=True) as main:
        # The simulator's scans are of one spectral window each.
        numbers = (main.getcol("SCAN_NUMBER") - 1) // len(facts.SPECTRAL_WINDOWS) + 1
        main.putcol("SCAN_NUMBER", numbers.astype(np.int32))
        times = main.getcol("TIME")
    with open_table(f"{vis}/OBSERVATION", writable=True) as table:
        half = _INTEGRATION_SECONDS / 2
        table.putcol("TIME_RANGE", np.array([[times.min() - half], [times.max() + half]]))


def _observe(vis: str, session: int) -> None:
    """Fill in the visibilities."""
    gains = corruption.make_gains(len(_ANTENNAS), session)
    fields = list(_DIRECTIONS)
    with open_table(vis, writable=True) as main:
        data = main.getcol("DATA")
        columns = ("ANTENNA1", "ANTENNA2", "TIME", "FIELD_ID", "DATA_DESC_ID", "UVW")
        first, second, times, field_ids, windows, uvw = (main.getcol(name) for name in columns)
        part = (times - times.min()) / (times.max() - times.min())
        for window in facts.SPECTRAL_WINDOWS:
            rows = windows == window
            for number, field in enumerate(fields):
                there = np.flatnonzero(rows & (field_ids == number))
                perfect = sky.visibilities(field, window, uvw[:, there])
                baselines = (first[there], second[there])
                data[:, :, there] = corruption.corrupt(perfect, gains, window, baselines, part[there])
            data[:, :, rows] += corruption.noise(data[:, :, rows].shape, window, session)
        if session == 1:
            data += _damage((first, second), times, field_ids == fields.index(facts.TARGET))
        main.putcol("DATA", data)


def _damage(baselines: tuple[Any, Any], times: Any, on_target: Any) -> Any:  # noqa: ANN401  CASA has no types
    import casatools

    quanta = casatools.quanta()
    start = quanta.convert(facts.DAMAGED_FROM, "s")["value"]
    quanta.done()
    damaged = [name for name, *_ in _ANTENNAS].index(facts.DAMAGED_ANTENNA)
    hit = ((baselines[0] == damaged) ^ (baselines[1] == damaged)) & on_target & (times > start)
    return corruption.incoherent(hit, baselines, times)


def _one_field_a_scan(vis: str, scans: list[_Scan]) -> None:
    """Give each scan a FIELD row of its own, because exportasdm writes one binary file a FIELD row."""
    fields = list(_DIRECTIONS)
    with open_table(vis, writable=True) as main:
        main.putcol("FIELD_ID", (main.getcol("SCAN_NUMBER") - 1).astype(np.int32))
    with open_table(f"{vis}/FIELD", writable=True) as table:
        columns = ("PHASE_DIR", "DELAY_DIR", "REFERENCE_DIR", "SOURCE_ID", "TIME", "CODE", "NUM_POLY")
        rows = [{column: table.getcell(column, number) for column in columns} for number in range(len(fields))]
        table.addrows(len(scans) - table.nrows())
        for position, scan in enumerate(scans):
            for column, value in rows[fields.index(scan.field)].items():
                table.putcell(column, position, value)
            # Fields of one name would be written as one.
            table.putcell("NAME", position, f"{scan.field}@{position}")
