"""Makes the simulated MOUS: its ASDMs, and the calibration products that a restore needs; runs in CASA's Python.

The directory that it makes is what an imaging run has in its ``rawdata/``:

- ``uid___A002_Xd5a7c2_X1f3/``: the ASDM;
- ``uid___A001_X1288_X3f.hifa_calimage.pipeline_manifest.xml``: the manifest, which names the others;
- ``uid___A001_X1288_X3f.session_1.caltables.tgz``: bandpass, phases and amplitudes;
- ``uid___A002_Xd5a7c2_X1f3.ms.flagversions.tgz``: the flags, in the version ``Pipeline_Final``;
- ``uid___A002_Xd5a7c2_X1f3.ms.calapply.txt``: a call of ``applycal`` for each field.

The usual MOUS was observed in one session. In two, there are the ASDM of the second and what its calibration left too.
What to expect of the images, and the flag that removes the damage, stand in :mod:`sandbox.alma_observation.facts`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from sandbox.alma_observation import facts
from sandbox.observation.sdm_tables import OnlineFlag, add_online_flags, fix_time_of_creation, separate_scans
from sandbox.pipeline.context import PIPELINE_VERSION
from sandbox.pipeline.manifest import Calibrated, Products, Versions, write_manifest

_SITE_CONFIGURATION = Path(__file__).resolve().parents[2] / "casa" / "casasiteconfig.py"
_ONLINE_FLAGS = (
    OnlineFlag(scan=1, seconds=20, antenna=3, reason="Mount_is_off_source"),
    OnlineFlag(scan=3, seconds=20, antenna=9, reason="Mount_is_off_source"),
)


def main(arguments: list[str] | None = None) -> None:
    """Make the MOUS that the command line asks for; refuses to overwrite."""
    parser = argparse.ArgumentParser(
        prog="make_mous.py", allow_abbrev=False, description="Makes the sandbox's simulated MOUS with CASA."
    )
    parser.add_argument("out", type=Path, help="the directory that is to hold ASDMs and calibration products")
    parser.add_argument(
        "--sessions",
        type=int,
        choices=range(1, len(facts.ASDMS) + 1),
        default=1,
        help="in how many sessions it was observed, each with an ASDM of its own (%(default)s)",
    )
    options = parser.parse_args(arguments)
    out = options.out.absolute()
    if out.exists():
        parser.error(f"{out} exists already: remove it, or give another name")
    make_mous(out, sessions=options.sessions)
    print(out)


def make_mous(out: Path, *, sessions: int = 1) -> None:
    """Make everything beside its place and rename it there when it is complete.

    Args:
        out: absolute path of the directory; it must not exist. The working directory of the process is changed for a
            while.
        sessions: in how many sessions it was observed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("CASASITECONFIG", str(_SITE_CONFIGURATION))
    former = Path.cwd()
    scratch = Path(tempfile.mkdtemp(prefix=".make-mous-", dir=out.parent))
    os.chdir(scratch)  # CASA's log is where CASA is loaded
    try:
        made = scratch / "made"
        made.mkdir()
        _make(made, sessions)
        made.rename(out)
    finally:
        os.chdir(former)
        shutil.rmtree(scratch, ignore_errors=True)


def _make(made: Path, sessions: int) -> None:
    import casatasks

    calibrated = tuple(_make_session(made, number) for number in range(1, sessions + 1))
    write_manifest(
        made / f"{facts.MOUS}.{facts.CALIBRATION_RECIPE}.pipeline_manifest.xml",
        Products(calibrated, (), {}),
        procedure=facts.CALIBRATION_RECIPE,
        versions=Versions(casatasks.version_string(), PIPELINE_VERSION),
        ous=facts.MOUS,
    )


def _make_session(made: Path, session: int) -> Calibrated:
    import casatasks

    from sandbox.alma_observation.calibrate import calibrate
    from sandbox.alma_observation.simulate import simulate

    asdm, vis = made / facts.ASDMS[session - 1], f"simulated_{session}.ms"
    scans = simulate(vis, session)
    # One execution block for all; apcorrected makes the reader look for what the exporter does not write.
    casatasks.exportasdm(vis=vis, asdm=str(asdm), datacolumn="DATA", sbduration="24h", apcorrected=False, verbose=False)
    separate_scans(asdm, scans)
    add_online_flags(asdm, _ONLINE_FLAGS)
    fix_time_of_creation(asdm)
    (asdm / facts.README_NAME).write_text(facts.readme(session), encoding="utf-8")
    return calibrate(asdm, made, mous=facts.MOUS, session=f"session_{session}")
