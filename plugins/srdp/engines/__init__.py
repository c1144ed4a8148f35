"""What runs CASA. An engine submits, looks and cancels; nothing more. No Airflow import."""

from __future__ import annotations

from srdp.engines.base import Engine, Job, JobNotGone, JobNotStarted, JobState, JobStatus, Queue, check_same_job

__all__ = ["Engine", "Job", "JobNotGone", "JobNotStarted", "JobState", "JobStatus", "Queue", "check_same_job"]
