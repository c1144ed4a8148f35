"""Runs in CASA's own Python: makes the small measurement set on which selections and flag commands are tried.

It is the set of ``tests/srdp/domain/cases/flag_lines_with_casa_answers.jsonl``: the VLA with six antennas, four windows
of 64 channels of 1 MHz, four fields, and eight scans of six integrations of 10 s on 10 August 2013, all of it 1 Jy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from casatools import measures, simulator, table

#: Antenna -> its pad and its place (m, east, north and up of the array's centre).
ANTENNAS = {
    "ea01": ("W08", -1000.0, 100.0),
    "ea02": ("W01", -40.0, 10.0),
    "ea03": ("E04", 220.0, -120.0),
    "ea05": ("N02", 5.0, 90.0),
    "ea11": ("E08", 900.0, -500.0),
    "ea12": ("N06", -20.0, 600.0),
}
FIELDS = ("1331+305=3C286", "M 82", "J0542-0913", "NGC5921")
WINDOWS = tuple(f"EVLA_L#A0C0#{number}" for number in range(4))
SCANS = 8
_INTENTS = ("CALIBRATE_BANDPASS#UNSPECIFIED", "OBSERVE_TARGET#UNSPECIFIED")
_FIRST_SCAN_S, _SCAN_S, _GAP_S, _INTEGRATION_S = 8 * 3600 + 35.0, 60.0, 20.0, 10.0


def make(vis: str, fields: Sequence[str] = FIELDS) -> None:
    """Write the measurement set.

    Args:
        vis: its name.
        fields: the names of its fields.
    """
    tool = simulator()
    tool.open(vis)
    _simulate(tool, len(fields))
    tool.close()
    tool.done()
    with _open(f"{vis}/FIELD") as rows:
        rows.putcol("NAME", list(fields))
    with _open(vis) as main:
        numbers = (main.getcol("SCAN_NUMBER") - 1) // len(WINDOWS) + 1
        main.putcol("SCAN_NUMBER", numbers.astype(np.int32))
        main.putcol("STATE_ID", (main.getcol("FIELD_ID") % 2).astype(np.int32))
        main.putcol("DATA", np.ones_like(main.getcol("DATA")))
    with _open(f"{vis}/STATE") as states:
        states.addrows(len(_INTENTS) - states.nrows())
        states.putcol("OBS_MODE", list(_INTENTS))
    with _open(f"{vis}/DATA_DESCRIPTION") as descriptions:
        descriptions.putcol("POLARIZATION_ID", np.zeros(descriptions.nrows(), dtype=np.int32))
    with _open(f"{vis}/POLARIZATION") as polarizations:
        polarizations.removerows(list(range(1, polarizations.nrows())))


def _simulate(tool: Any, fields: int) -> None:
    me = measures()
    east, north = ([place[index] for place in ANTENNAS.values()] for index in (1, 2))
    tool.setconfig(
        telescopename="VLA",
        x=east,
        y=north,
        z=[0.0] * len(ANTENNAS),
        dishdiameter=[25.0] * len(ANTENNAS),
        mount=["alt-az"],
        antname=list(ANTENNAS),
        padname=[place[0] for place in ANTENNAS.values()],
        coordsystem="local",
        referencelocation=me.observatory("VLA"),
    )
    for number, name in enumerate(WINDOWS):
        tool.setspwindow(
            spwname=name,
            freq=f"{1.4 + 0.1 * number}GHz",
            deltafreq="1MHz",
            freqresolution="1MHz",
            nchannels=64,
            stokes="RR RL LR LL",
        )
    tool.setfeed("perfect R L")
    for number in range(fields):
        tool.setfield(
            sourcename=f"field{number}", sourcedirection=me.direction("J2000", "13h31m08s", f"{30 + number}deg")
        )
    tool.setlimits(shadowlimit=1.0, elevationlimit="-90deg")
    tool.setauto(autocorrwt=1.0)
    tool.settimes(
        integrationtime=f"{_INTEGRATION_S}s", usehourangle=False, referencetime=me.epoch("TAI", "2013/08/10/00:00:00")
    )
    for scan in range(SCANS):
        start = _FIRST_SCAN_S + scan * (_SCAN_S + _GAP_S)
        for name in WINDOWS:
            tool.observe(f"field{scan % fields}", name, starttime=f"{start}s", stoptime=f"{start + _SCAN_S}s")
    me.done()


@contextmanager
def _open(name: str) -> Iterator[Any]:
    tool = table()
    tool.open(name, nomodify=False)
    try:
        yield tool
    finally:
        tool.close()
