"""CASA jobs of an instance: detached from Airflow by design, so stopping the instance means to cancel them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from srdp.domain.common.errors import SrdpError
from srdp.domain.site.engine_options import SlurmOptions
from srdp.engines.base import Engine, JobState
from srdp.engines.batch import BatchEngine
from srdp.engines.local import LocalEngine
from srdp.engines.local_records import SUBMISSION
from srdp.engines.slurm import Slurm


def cancel_jobs(spool_area: Path, *, cause: str, tell: Callable[[str], None]) -> int:
    """Cancel every job whose records lie in the spool area and that may still live; returns how many.

    Args:
        spool_area: the instance's spool area, ``<pipeline run ID>/<job>/``.
        cause: why, as the end of a sentence.
        tell: where it is said, a line a job.
    """
    local, slurm = LocalEngine(), BatchEngine(Slurm(SlurmOptions()))
    cancelled = 0
    for record in sorted(spool_area.glob("*/*/job.json")):
        job = record.parent
        engine: Engine = slurm if (job / SUBMISSION).exists() else local
        try:
            status = engine.status(job.name, job.parent)
            if status.state in (JobState.ENDED, JobState.ABSENT):
                continue
            # A lost job leaves no end and stays lost: what it may have left is ended each time, and is not counted.
            if status.state is not JobState.LOST:
                tell(f"Cancelling CASA job {job.name} ...")
                cancelled += 1
            engine.cancel(job.name, job.parent, cause)
        except SrdpError as problem:
            tell(str(problem))
    return cancelled
