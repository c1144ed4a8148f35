"""A rerun as a DAG has it: its form, and the task that opens it; behind that it is the road of a first run."""

from __future__ import annotations

from typing import Any, Final

from airflow.sdk import Param

from srdp.domain.families import Family
from srdp.domain.identifiers import PIPELINE_RUN_ID_PATTERN
from srdp.operators.open_rerun import OpenRerunOperator
from srdp.task_groups.forms import file_params, given_files, resource_params, text_param, truth_param
from srdp.task_groups.pipeline_road import OPEN_RUN

FORMER: Final = "Empty: as the former run."
_CHOICES: Final = ("casa_release", "cores", "memory_gb", "reopen")


def rerun_params(family: Family, *, subject: str, pattern: str) -> dict[str, Param]:
    """Returns the fields of a rerun's form.

    Args:
        family: whose runs are made again.
        subject: what may be named instead of a run, for example ``an execution block's name``.
        pattern: the form of that.
    """
    return {
        "run": Param(
            type="string",
            title="Run",
            description=f"A pipeline run ID, for example {family.name}-20261122-182453-4f7k. "
            f"Or {subject}, which means its newest run.",
            pattern=f"({PIPELINE_RUN_ID_PATTERN})|({pattern})",
            maxLength=128,
        ),
        **file_params(family.kind),
        "casa_release": text_param(
            "CASA release", f"What the site's settings call it. {FORMER}", section="CASA", maxLength=64
        ),
        **resource_params(FORMER, section="CASA"),
        "reopen": truth_param("Reopen", "Rerun although a run of the request was archived.", section="After a pass"),
    }


def open_rerun(family: Family) -> Any:  # noqa: ANN401  any task
    """Lays the task that opens a rerun as the form says, in the DAG that is being made; returns it.

    Args:
        family: whose runs are made again.
    """
    # Mapped over its one run, so that the grid shows which one, or of what the newest, it is.
    return OpenRerunOperator.partial(
        task_id=OPEN_RUN,
        task_display_name="Open the run",
        map_index_template="{{ task.run_or_subject }}",
        kind=family.kind,
        files=given_files(family.kind),
        **{name: f"{{{{ params.{name} }}}}" for name in _CHOICES},
    ).expand(run_or_subject=["{{ params.run }}"])
