"""The DAGs of the third family of the tests; see ``tests/families/vla_continuum``."""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import family_of
from srdp.operators.claim_ingest import ClaimIngestOperator
from srdp.operators.open_run import OpenExecutionBlockRunOperator
from srdp.task_chains import ingest_tasks, pipeline_tasks
from srdp.task_chains.forms import params, value, values
from srdp.task_chains.removal import cleanup, cleanup_dag, failed_qa, failed_qa_dag
from srdp.task_chains.rerun import open_rerun
from srdp.task_chains.withdrawal import withdrawal, withdrawal_dag

FAMILY = family_of("vla_continuum")


@dag(
    dag_id=FAMILY.kind,
    schedule=None,
    is_paused_upon_creation=False,
    default_args=pipeline_tasks.DEFAULT_ARGS,
    params=params(FAMILY.kind),
)
def image() -> None:
    opened = OpenExecutionBlockRunOperator.partial(
        task_id=pipeline_tasks.OPEN_RUN, kind=FAMILY.kind, **values(FAMILY.kind, "execution_block")
    ).expand(execution_block=[value(FAMILY.kind, "execution_block")])
    pipeline_tasks.add_pipeline_tasks(opened, FAMILY)


@dag(
    dag_id=FAMILY.rerun_dag,
    schedule=None,
    is_paused_upon_creation=False,
    default_args=pipeline_tasks.DEFAULT_ARGS,
    params=params(FAMILY.rerun_dag),
)
def rerun() -> None:
    pipeline_tasks.add_pipeline_tasks(open_rerun(FAMILY), FAMILY)


@dag(
    dag_id=FAMILY.ingest_dag,
    schedule=None,
    is_paused_upon_creation=False,
    default_args=ingest_tasks.DEFAULT_ARGS,
    params=params(FAMILY.ingest_dag),
)
def ingest() -> None:
    claimed = ClaimIngestOperator.partial(
        task_id=ingest_tasks.CLAIM, qa_flag="Pass", **values(FAMILY.ingest_dag, "pipeline_run_id")
    ).expand(pipeline_run_id=[ingest_tasks.RUN])
    ingest_tasks.add_ingest_tasks(claimed, FAMILY)


@dag(dag_id=FAMILY.fail_dag, schedule=None, **failed_qa_dag(FAMILY))
def fail() -> None:
    failed_qa(FAMILY, "{{ params.pipeline_run_id }}")


@dag(dag_id=FAMILY.cleanup_dag, schedule=None, **cleanup_dag(FAMILY))
def clean_up() -> None:
    cleanup()


@dag(dag_id=FAMILY.withdraw_dag, schedule=None, **withdrawal_dag(FAMILY))
def withdraw() -> None:
    withdrawal(FAMILY)


image()
rerun()
ingest()
fail()
clean_up()
withdraw()
