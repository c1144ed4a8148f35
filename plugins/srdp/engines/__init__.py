"""What runs CASA. An engine submits, looks and cancels; nothing more. No Airflow import."""

from __future__ import annotations

from srdp.domain.errors import SettingsError, quoted
from srdp.engines.base import Engine, Job, JobNotGone, JobNotStarted, JobState, JobStatus, check_same_job

__all__ = ["Engine", "Job", "JobNotGone", "JobNotStarted", "JobState", "JobStatus", "check_same_job", "engine"]


def engine(name: str) -> Engine:
    """Returns the engine of a name, as the setting ``SRDP_ENGINE`` gives it.

    Raises:
        SettingsError: there is no such engine.
    """
    # Not above: what watches over CASA imports this package, and uses the standard library only.
    from srdp.engines.local import LocalEngine

    if name == "local":
        return LocalEngine()
    raise SettingsError(f"There is no engine {quoted(name)}: set SRDP_ENGINE to local.")
