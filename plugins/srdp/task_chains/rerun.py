"""A rerun as a DAG has it: the task that opens it; after it comes the task chain of a first run."""

from __future__ import annotations

from typing import Any, Final

from srdp.families import Family
from srdp.operators.open_rerun import OpenRerunOperator
from srdp.task_chains.forms import submitted_files, value
from srdp.task_chains.pipeline_tasks import OPEN_RUN
from srdp.task_chains.priorities import Kind, priority

_CHOICES: Final = ("adapt", "casa_release", "engine", "cores", "memory_gb", "reopen")


def open_rerun(family: Family) -> Any:  # noqa: ANN401  any task
    """Add the task that opens a rerun as the form says, to the DAG that is being made; return it.

    Args:
        family: whose runs are made again.
    """
    # Mapped over its one run, so that the grid shows which one, or of what the newest, it is.
    return OpenRerunOperator.partial(
        task_id=OPEN_RUN,
        task_display_name="Open the run",
        # Somebody looks whether the form is refused.
        **priority(Kind.PERSON),
        map_index_template="{{ task.run_or_subject }}",
        kind=family.kind,
        files=submitted_files(family.rerun_dag, family),
        **{name: value(family.rerun_dag, name) for name in _CHOICES},
    ).expand(run_or_subject=[value(family.rerun_dag, "run")])
