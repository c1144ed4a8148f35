"""What is known of the steps of a DAG run that failed or wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What is reported of a step that left no sentence.
NO_CAUSE: Final = (
    "its task was marked failed in Airflow, or its process was killed before it could say why: look at the task's log."
)


@dataclass(frozen=True)
class StepFailure:
    """Which step failed, and why.

    Attributes:
        step: the task's name as the grid shows it.
        cause: why, in one sentence; None if it could not say.
        task_id: the task in the DAG; None if it is not known.
    """

    step: str
    cause: str | None
    task_id: str | None = None
