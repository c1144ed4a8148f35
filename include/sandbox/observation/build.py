"""Makes the SDM: from the demonstration file of the casadata package, with CASA."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.observation.edits import README_NAME, readme
from sandbox.observation.sdm_tables import (
    ObservedScan,
    OnlineFlag,
    add_online_flags,
    fix_time_of_creation,
    name_telescope_and_windows,
    separate_scans,
)
from sandbox.pipeline.tables import open_table

_SITE_CONFIGURATION = Path(__file__).resolve().parents[2] / "casa" / "casasiteconfig.py"
# The first integration lacks an antenna; the writer of SDMs wants every baseline in every integration.
_AFTER_FIRST_INTEGRATION = ">1995/04/13/09:19:00"
_INTENTS = {
    0: ("CALIBRATE_FLUX", "CALIBRATE_BANDPASS"),
    1: ("CALIBRATE_PHASE", "CALIBRATE_AMPLI"),
    2: ("OBSERVE_TARGET",),
}
_ONLINE_FLAGS = (
    OnlineFlag(scan=1, seconds=60, antenna=3, reason="ANTENNA_NOT_ON_SOURCE"),
    OnlineFlag(scan=2, seconds=60, antenna=7, reason="SUBREFLECTOR_ERROR"),
)
_SPECTRAL_WINDOW = "EVLA_L#A0C0#0"
_DAMAGED_ANTENNA = "ea12"
_DAMAGED_AFTER_SECONDS = 3600.0
_LARGEST_PHASE_RADIANS = 2.2
_REMAINING_AMPLITUDE = 0.6


def main(arguments: list[str] | None = None) -> None:
    """Make the SDM that the command line asks for; refuses to overwrite."""
    parser = argparse.ArgumentParser(
        prog="make_sdm.py", allow_abbrev=False, description="Makes the SDM of the sandbox's observation with CASA."
    )
    parser.add_argument("out", type=Path, help="the SDM's directory; its name is the execution block's name")
    parser.add_argument("--damaged", action="store_true", help="decorrelate antenna ea12 in the second half")
    options = parser.parse_args(arguments)
    out = options.out.absolute()
    if out.exists():
        parser.error(f"{out} exists already: remove it, or give another name")
    make_sdm(out, damaged=options.damaged)
    print(out)


def make_sdm(out: Path, *, damaged: bool) -> None:
    """Make the SDM beside its place and rename it there when it is complete.

    Args:
        out: absolute path of the SDM; it must not exist. The working directory of the process is changed for a while.
        damaged: decorrelate antenna ea12 in the second half.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("CASASITECONFIG", str(_SITE_CONFIGURATION))
    former = Path.cwd()
    scratch = Path(tempfile.mkdtemp(prefix=".make-sdm-", dir=out.parent))
    os.chdir(scratch)  # CASA's log is where CASA is loaded
    try:
        sdm = _export(scratch, damaged=damaged)
        (sdm / README_NAME).write_text(readme(damaged=damaged), encoding="utf-8")
        sdm.rename(out)
    finally:
        os.chdir(former)
        shutil.rmtree(scratch, ignore_errors=True)


def _export(scratch: Path, *, damaged: bool) -> Path:
    import casadata
    import casatasks

    demonstration = Path(casadata.datapath) / "demo" / "NGC5921.fits"
    imported, tidy, sdm = (str(scratch / name) for name in ("imported.ms", "tidy.ms", "sdm"))
    casatasks.importuvfits(fitsfile=str(demonstration), vis=imported)
    casatasks.split(vis=imported, outputvis=tidy, datacolumn="data", timerange=_AFTER_FIRST_INTEGRATION)
    scans = _one_field_a_scan(tidy)
    _drop_unused_antennas(tidy)
    _rename(tidy)
    if damaged:
        _decorrelate(tidy)
    # One scheduling block for all; "apcorrected" is an ALMA notion that makes the reader drop the data.
    casatasks.exportasdm(vis=tidy, asdm=sdm, datacolumn="DATA", sbduration="24h", apcorrected=False, verbose=False)
    separate_scans(Path(sdm), scans)
    add_online_flags(Path(sdm), _ONLINE_FLAGS)
    name_telescope_and_windows(Path(sdm), "EVLA", [_SPECTRAL_WINDOW])
    fix_time_of_creation(Path(sdm))
    return Path(sdm)


def _one_field_a_scan(vis: str) -> list[ObservedScan]:
    """Give each scan a FIELD row of its own, because exportasdm writes one binary file a FIELD row."""
    with open_table(vis, writable=True) as main:
        scan_numbers = main.getcol("SCAN_NUMBER")
        fields = main.getcol("FIELD_ID")
        scans = sorted({int(number) for number in scan_numbers})
        field_of = {number: int(fields[scan_numbers == number][0]) for number in scans}
        main.putcol("FIELD_ID", np.array([scans.index(number) for number in scan_numbers], dtype=np.int32))
    with open_table(f"{vis}/FIELD", writable=True) as table:
        names = [str(name) for name in table.getcol("NAME")]
        columns = ("PHASE_DIR", "DELAY_DIR", "REFERENCE_DIR", "SOURCE_ID", "TIME", "CODE", "NUM_POLY")
        rows = [{column: table.getcell(column, field_of[number]) for column in columns} for number in scans]
        table.addrows(len(scans) - table.nrows())
        for position, row in enumerate(rows):
            for column, value in row.items():
                table.putcell(column, position, value)
            # Fields of one name would be written as one.
            table.putcell("NAME", position, f"{names[field_of[scans[position]]]}@{position}")
    return [
        ObservedScan(field=field_of[number], field_name=names[field_of[number]], intents=_INTENTS[field_of[number]])
        for number in scans
    ]


def _drop_unused_antennas(vis: str) -> None:
    with open_table(vis) as main:
        used = sorted({int(number) for column in ("ANTENNA1", "ANTENNA2") for number in main.getcol(column)})
    with open_table(f"{vis}/ANTENNA", writable=True) as table:
        total = table.nrows()
        unused = [number for number in range(total) if number not in used]
        table.removerows(unused)
    new_number = np.full(total, -1, dtype=np.int32)
    new_number[used] = np.arange(len(used), dtype=np.int32)
    for name, columns in (("", ("ANTENNA1", "ANTENNA2")), ("/FEED", ("ANTENNA_ID",)), ("/POINTING", ("ANTENNA_ID",))):
        with open_table(vis + name, writable=True) as table:
            if table.nrows():
                _renumber(table, columns, new_number)


def _renumber(table: Any, columns: tuple[str, ...], new_number: Any) -> None:  # noqa: ANN401  CASA has no types
    gone = [row for row, old in enumerate(table.getcol(columns[0])) if new_number[old] < 0]
    if gone:
        table.removerows(gone)
    for column in columns:
        table.putcol(column, new_number[table.getcol(column)])


def _rename(vis: str) -> None:
    with open_table(f"{vis}/ANTENNA", writable=True) as table:
        table.putcol("NAME", np.array([f"ea{int(name):02d}" for name in table.getcol("NAME")]))
        table.putcol("STATION", np.array([str(name).rsplit(":", 1)[-1] for name in table.getcol("STATION")]))
        table.putcol("MOUNT", np.array(["ALT-AZ"] * table.nrows()))
    with open_table(vis) as main:
        times = main.getcol("TIME")
    with open_table(f"{vis}/OBSERVATION", writable=True) as table:
        half_an_integration = 15.0  # seconds
        table.putcol("TIME_RANGE", np.array([[times.min() - half_an_integration], [times.max() + half_an_integration]]))


def _decorrelate(vis: str) -> None:
    with open_table(f"{vis}/ANTENNA") as table:
        antenna = [str(name) for name in table.getcol("NAME")].index(_DAMAGED_ANTENNA)
    with open_table(vis, writable=True) as main:
        data, first, second, times = (main.getcol(name) for name in ("DATA", "ANTENNA1", "ANTENNA2", "TIME"))
        hit = ((first == antenna) ^ (second == antenna)) & (times > times.min() + _DAMAGED_AFTER_SECONDS)
        # The same fault in every build: the numbers that the tests expect depend on it.
        random = np.random.default_rng(42)
        phases = random.uniform(-_LARGEST_PHASE_RADIANS, _LARGEST_PHASE_RADIANS, int(hit.sum()))
        data[:, :, hit] *= _REMAINING_AMPLITUDE * np.exp(1j * phases)
        main.putcol("DATA", data)
