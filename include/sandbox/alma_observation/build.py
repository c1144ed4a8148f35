"""Makes the simulated MOUS: its ASDM, and the calibration products that a restore needs; runs in CASA's Python.

The directory that it makes is what an imaging run has in its ``rawdata/``:

- ``uid___A002_Xd5a7c2_X1f3/``: the ASDM;
- ``uid___A001_X1288_X3f.hifa_calimage.pipeline_manifest.xml``: the manifest, which names the three others;
- ``uid___A001_X1288_X3f.session_1.caltables.tgz``: bandpass, phases and amplitudes;
- ``uid___A002_Xd5a7c2_X1f3.ms.flagversions.tgz``: the flags, in the version ``Pipeline_Final``;
- ``uid___A002_Xd5a7c2_X1f3.ms.calapply.txt``: a call of ``applycal`` for each field.

What to expect of the images, and the flag that cures the damage, stand in :mod:`sandbox.alma_observation.facts`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from sandbox.alma_observation import facts
from sandbox.observation.sdm_tables import OnlineFlag, add_online_flags, fix_time_of_creation, separate_scans

_SITE_CONFIGURATION = Path(__file__).resolve().parents[2] / "casa" / "casasiteconfig.py"
_ONLINE_FLAGS = (
    OnlineFlag(scan=1, seconds=20, antenna=3, reason="Mount_is_off_source"),
    OnlineFlag(scan=3, seconds=20, antenna=9, reason="Mount_is_off_source"),
)


def main(arguments: list[str] | None = None) -> None:
    """Makes the MOUS that the command line asks for; refuses to overwrite."""
    parser = argparse.ArgumentParser(
        prog="make_mous.py", allow_abbrev=False, description="Makes the sandbox's simulated MOUS with CASA."
    )
    parser.add_argument("out", type=Path, help="the directory that is to hold ASDM and calibration products")
    options = parser.parse_args(arguments)
    out = options.out.absolute()
    if out.exists():
        parser.error(f"{out} exists already: remove it, or give another name")
    make_mous(out)
    print(out)


def make_mous(out: Path) -> None:
    """Makes everything beside its place and renames it there when it is complete.

    Args:
        out: absolute path of the directory; it must not exist. The working directory of the process is changed for a
            while.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("CASASITECONFIG", str(_SITE_CONFIGURATION))
    former = Path.cwd()
    scratch = Path(tempfile.mkdtemp(prefix=".make-mous-", dir=out.parent))
    os.chdir(scratch)  # CASA's log lies where CASA is loaded
    try:
        made = scratch / "made"
        made.mkdir()
        _make(made)
        made.rename(out)
    finally:
        os.chdir(former)
        shutil.rmtree(scratch, ignore_errors=True)


def _make(made: Path) -> None:
    import casatasks

    from sandbox.alma_observation.calibrate import calibrate
    from sandbox.alma_observation.simulate import simulate

    asdm = made / facts.ASDM
    scans = simulate("simulated.ms")
    # One execution block for all; apcorrected makes the reader look for what the exporter does not write.
    casatasks.exportasdm(
        vis="simulated.ms", asdm=str(asdm), datacolumn="DATA", sbduration="24h", apcorrected=False, verbose=False
    )
    separate_scans(asdm, scans)
    add_online_flags(asdm, _ONLINE_FLAGS)
    fix_time_of_creation(asdm)
    (asdm / facts.README_NAME).write_text(facts.README, encoding="utf-8")
    calibrate(asdm, made, mous=facts.MOUS)
