"""### VLA cleanup

Deletes the directory of a run, wherever it lies. What expires is deleted by `expire_processing_area` by itself; this is
for who needs the space before.

| state of the run | what it does |
|---|---|
| `archived` | deletes it if the archive proves, at this moment, that it has everything |
| `rejected`, `superseded` | deletes it: these were thrown away when they failed QA, or when another run passed |
| `cleaning` | finishes a cleanup that was interrupted |
| `cleaned` | nothing is left to do |

The proof: the archive's database has the metadata of every file that was archived, and NGAS has just read each of them
again and found it good, with the size and checksum that were recorded.

Every other state is refused, with what can be done instead. Runs that failed or were cancelled are kept for a rerun
until they expire.

If the archive does not prove that it has everything, nothing is deleted, and the step fails with *The data products are
not in the archive, please wait and try again. If failures are repeated, please file an SSA ticket.* Its log names each
file and why. Refused is also a run whose products have changed since they were archived, a directory with symbolic
links that lead out of it, and one that is not this run's.

The calibrated measurement set that is kept for users is no part of it: it expires by itself.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from srdp.domain.identifiers import PIPELINE_RUN_ID_PATTERN
from srdp.operators.cleanup import CleanUpRunOperator


@dag(
    dag_display_name="VLA cleanup",
    description="Delete the directory of a run that is proved to be in the archive, or was thrown away",
    schedule=None,
    max_active_runs=16,
    is_paused_upon_creation=False,
    default_args={"owner": "data analysts", "retries": 3, "retry_delay": timedelta(seconds=20)},
    tags=["vla", "verdict"],
    doc_md=__doc__,
    params={
        "pipeline_run_id": Param(
            type="string",
            title="Pipeline run ID",
            description="From the mail, or the name of the run's directory, for example vla-20261122-182453-4f7k.",
            pattern=PIPELINE_RUN_ID_PATTERN,
            maxLength=64,
        ),
    },
)
def vla_cleanup() -> None:
    # Mapped over its one run, so that the grid shows which one it is.
    CleanUpRunOperator.partial(
        task_id="clean_up", task_display_name="Clean up", map_index_template="{{ task.pipeline_run_id }}"
    ).expand(pipeline_run_id=["{{ params.pipeline_run_id }}"])


vla_cleanup()
