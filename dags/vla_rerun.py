"""### VLA rerun

Calibrates a VLA execution block again, with other files or another CASA, after a run that waits for its verdict, failed
or was cancelled. The rerun is a new run in a directory of its own; the former one stays as it is, to be compared.

| step | what it does |
|---|---|
| Open the run | checks the form and all files, and makes nothing if anything is wrong; then ID, directory, ledger row |
| Tell the analysts it has begun | mail |
| Fetch raw data from NGAS | those of the former run are linked; fetched if they cannot be used again |
| Write the PPR | the PPR and the analyst's files, byte for byte as they were given |
| Run CASA | that of the former run, unless another is chosen |
| Judge the outcome | as for every run |
| Deliver to the QA area | beside the former run |
| Tell the analysts it is ready for review | mail with the QA scores and the weblog |
| Report the failure | only when a step failed |

**Files.** Each is given as a path below the processing area, the QA area or a folder of the site's settings, or pasted.
A file that is not given is the one in the former run's `working/`: edit it there, and give nothing. A flag template may
be called `flagtemplate.txt` there, or have the execution block's name before that. All files are checked before
anything is made, and everything that is wrong is told at once, with line and column.

**Refused** while a run of the execution block is active; when one has passed QA, unless *Reopen* is given. After a
failed QA the execution block is set back to *Ready* in the archive, and its raw data are fetched anew.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag

from srdp.domain.families import VLA
from srdp.domain.identifiers import EXECUTION_BLOCK_PATTERN, PIPELINE_RUN_ID_PATTERN
from srdp.operators.open_rerun import OpenRerunOperator
from srdp.task_groups.pipeline_road import DEFAULT_ARGS, MAX_ACTIVE_RUNS, OPEN_RUN, pipeline_road

FORMER = "Empty: as the former run."
FILES = {
    "processing_request": "PPR.xml",
    "flag_template": "flagtemplate.txt",
    "flux_densities": "flux.csv",
    "antenna_positions": "antennapos.csv",
}


def _text(title: str, description: str, section: str, **form: Any) -> Param:  # noqa: ANN401  as Param's
    return Param(None, type=["null", "string"], title=title, description=description, section=section, **form)


def _number(title: str, maximum: int) -> Param:
    form: dict[str, Any] = {"minimum": 1, "maximum": maximum, "section": "CASA"}
    return Param(None, type=["null", "integer"], title=title, description=FORMER, **form)


PATH = "The absolute path of the {}. Empty: the one pasted below, or that of the former run."
TEXT = "The {} itself, instead of its path."
PATHS = {name: _text(file, PATH.format(file), "Files, by path", maxLength=1000) for name, file in FILES.items()}
TEXTS = {
    f"{name}_text": _text(
        f"{file}, pasted", TEXT.format(file), "Files, pasted", format="multiline", maxLength=1_000_000
    )
    for name, file in FILES.items()
}


@dag(
    dag_display_name="VLA rerun",
    description="Calibrate a VLA execution block again, with other flags, files or CASA",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["vla", "calibration", "verdict"],
    doc_md=__doc__,
    params={
        "run": Param(
            type="string",
            title="Run",
            description="A pipeline run ID, for example vla-20261122-182453-4f7k. "
            "Or an execution block's name, which means its newest run.",
            pattern=f"({PIPELINE_RUN_ID_PATTERN})|({EXECUTION_BLOCK_PATTERN})",
            maxLength=128,
        ),
        **PATHS,
        **TEXTS,
        "casa_release": _text("CASA release", f"What the site's settings call it. {FORMER}", "CASA", maxLength=64),
        "cores": _number("Cores", 1024),
        "memory_gb": _number("Memory [GB]", 65536),
        "reopen": Param(
            False,  # noqa: FBT003  as Param takes its default
            type="boolean",
            title="Reopen",
            description="Rerun although a run of the execution block has passed QA.",
            section="After a pass",
        ),
    },
)
def vla_rerun() -> None:
    # Mapped over its one run, so that the grid shows which one, or which EB, it is.
    opened = OpenRerunOperator.partial(
        task_id=OPEN_RUN,
        task_display_name="Open the run",
        map_index_template="{{ task.run_or_execution_block }}",
        **{
            name: f"{{{{ params.{name} }}}}"
            for name in (*PATHS, *TEXTS, "casa_release", "cores", "memory_gb", "reopen")
        },
    ).expand(run_or_execution_block=["{{ params.run }}"])
    pipeline_road(opened, VLA)


vla_rerun()
