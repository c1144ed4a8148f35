"""DAG runs of other DAGs, as a task reaches them: through Airflow's task API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

from srdp.domain.common.errors import ServiceUnavailable, quoted


def start_dag_run(dag_id: str, run_id: str, conf: Mapping[str, Any], *, again: bool = False) -> bool:
    """Start a DAG run from inside a task; returns False if there is one of that id.

    Args:
        dag_id: the DAG.
        run_id: the new DAG run's id.
        conf: its parameters.
        again: whether all tasks of a DAG run that exists are cleared, so that it begins again with the parameters that
            it has; then True is returned.

    Raises:
        ServiceUnavailable: Airflow did not take it, because the DAG is not there yet, say, or has an import error.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    # Without a logical date: two runs of one would be refused as if they were one run.
    message = TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), reset_dag_run=again)
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(message)
    except AirflowRuntimeError as error:
        raise ServiceUnavailable(
            f"Airflow did not start {dag_id} ({quoted(error.error.detail, 300)}): see whether it lists the DAG, "
            "without an import error."
        ) from None
    return not (isinstance(answer, ErrorResponse) and answer.error is ErrorType.DAGRUN_ALREADY_EXISTS)
