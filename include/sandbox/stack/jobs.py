"""CASA jobs of an instance: detached from Airflow by design, so stopping the instance means to cancel them too.

They are cancelled by a process that has the environment of the instance's Airflow, and so the settings of each engine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from srdp.domain.common.errors import SrdpError
from srdp.domain.site.engine_names import EngineName
from srdp.engines.base import Engine, JobState
from srdp.engines.condor_log import USER_LOG
from srdp.engines.local_records import ENDED, JOB, SUBMISSION
from srdp.hooks.engines import engine

_HOME = Path(__file__).resolve().parents[3]
_CANCELLING = "Cancelling"
_MAIN = "import sys; from sandbox.stack.jobs import main; main(sys.argv[1:])"


def cancel_jobs(
    spool_area: Path, environment: Callable[[], Mapping[str, str]], report: Callable[[str], None], cause: str
) -> int:
    """Cancel every job whose records are in the spool area and that may still live; return how many.

    Args:
        spool_area: the instance's spool area, ``<pipeline run ID>/<job>/``.
        environment: makes the environment of the instance's Airflow; asked for only if there may be a job.
        report: where it is reported, a line a job.
        cause: why, as the end of a sentence.
    """
    if not _perhaps_living(spool_area):
        return 0
    cancelled = 0
    with subprocess.Popen(
        [sys.executable, "-c", _MAIN, spool_area, cause],
        env={**environment(), "PYTHONPATH": f"{_HOME / 'include'}:{_HOME / 'plugins'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        for line in child.stdout or ():
            cancelled += line.startswith(_CANCELLING)
            report(line.rstrip("\n"))
    return cancelled


def main(arguments: Sequence[str]) -> None:
    """Cancel, and say so on standard output.

    Args:
        arguments: the spool area, and why.
    """
    spool_area, cause = arguments
    engines: dict[EngineName, Engine] = {}
    for job in _perhaps_living(Path(spool_area)):
        name = _engine_of(job)
        try:
            if name not in engines:
                engines[name] = engine(name)
            _cancel(engines[name], job, cause)
        except SrdpError as problem:
            print(problem, flush=True)


def _perhaps_living(spool_area: Path) -> list[Path]:
    jobs = (record.parent for record in sorted(spool_area.glob(f"*/*/{JOB}")))
    return [job for job in jobs if not (job / ENDED).exists()]


def _engine_of(job: Path) -> EngineName:
    """Return which engine a job was given to: the ledger, which knows it too, is down by then."""
    if (job / USER_LOG).exists():
        return EngineName.HTCONDOR
    return EngineName.SLURM if (job / SUBMISSION).exists() else EngineName.LOCAL


def _cancel(its_engine: Engine, job: Path, cause: str) -> None:
    status = its_engine.status(job.name, job.parent)
    if status.state in (JobState.ENDED, JobState.ABSENT):
        return
    # A lost job leaves no end and stays lost: what it may have left is ended each time, and is not counted.
    if status.state is not JobState.LOST:
        print(f"{_CANCELLING} CASA job {job.name} ...", flush=True)
    its_engine.cancel(job.name, job.parent, cause)
