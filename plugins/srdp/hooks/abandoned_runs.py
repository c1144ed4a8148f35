"""Which runs a DAG run is to continue with; one that does not continue has left its run behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from srdp.domain.common.mail import unfinished_key
from srdp.domain.runs.pipeline_run import qa_directory
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import Ingest, PipelineRun
    from srdp.hooks.ledger import Ledger
    from srdp.settings import Settings

#: For so many days it is looked whether an archived run's directory has left the QA area.
ARCHIVED_DAYS: Final = 30
# Their ids stand in the address of one request.
_AT_ONCE: Final = 50
#: The states in which a task stays.
ENDED: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class Airflow(Protocol):
    """What is asked of Airflow; a task instance answers, in a worker and in the triggerer."""

    @staticmethod
    def get_task_states(dag_id: str, *, run_ids: list[str] | None) -> dict[str, Any]:
        """Return the states of the tasks of DAG runs, by DAG run id; what is not there is left out."""


@dataclass(frozen=True)
class RunAtWork:
    """A run on which a DAG run is to continue.

    Attributes:
        run: the run.
        dag_run: the DAG's id and the DAG run id of the one that is to continue with it.
        step: the task that is left to do, if only that is.
        left: what is left undone, as the end of a sentence; empty if the run's state says it.
    """

    run: PipelineRun
    dag_run: tuple[str, str]
    step: str = ""
    left: str = ""


def runs_at_work(settings: Settings, ledger: Ledger, *, archived_days: int = ARCHIVED_DAYS) -> list[RunAtWork]:
    """Return the runs that a DAG run is to continue with, whatever has become of it.

    Args:
        settings: the areas.
        ledger: the ledger.
        archived_days: for how many days it is looked whether an archived run's directory has left the QA area.
    """
    at_work = [RunAtWork(run, (run.dag_id, run.dag_run_id)) for run in ledger.runs.in_states(BEFORE_DELIVERY)]
    for run in ledger.runs.in_states({RunState.INGESTING}):
        ingest = ledger.ingests.in_force(run.pipeline_run_id)
        if ingest is not None:
            at_work.append(RunAtWork(run, (ingest.dag_id, ingest.dag_run_id)))
    return at_work + _unfinished(settings, ledger, archived_days)


def _unfinished(settings: Settings, ledger: Ledger, archived_days: int) -> list[RunAtWork]:
    """Return the archived runs with unfinished work that no mail has reported, no matter which DAG run is at it."""
    changed = set(ledger.verdicts.due())
    unfinished = []
    for run in ledger.runs.archived_lately(archived_days, changed):
        run_id = run.pipeline_run_id
        # It is moved last, after the measurement set and the siblings.
        is_moved = not qa_directory(settings.areas, run_id).is_there
        ingest = ledger.ingests.in_force(run_id) if run_id in changed or not is_moved else None
        if ingest is None:
            continue
        dag_run = _last_at_it(ledger, ingest)
        reported = unfinished_key(dag_run[1], is_archived=True)
        if any(mail.key == reported for mail in ledger.outbox.mails(run_id)):
            continue
        if run_id in changed:
            left = f"the archive does not have its QA flag {ingest.verdict.flag}"
            unfinished.append(RunAtWork(run, dag_run, "write_archive_metadata", left))
        else:
            unfinished.append(RunAtWork(run, dag_run, "keep_products", "its directory is in the QA area still"))
    return unfinished


def _last_at_it(ledger: Ledger, ingest: Ingest) -> tuple[str, str]:
    """Return the DAG run that ingested a run, or that was to write the last change of its verdict."""
    last = (ingest.dag_id, ingest.dag_run_id)
    for change in ledger.verdicts.changes(ingest.pipeline_run_id):
        if change.dag_id is not None and change.dag_run_id is not None:
            last = (change.dag_id, change.dag_run_id)
    return last


def task_states(airflow: Airflow, dag_runs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the states of the tasks of DAG runs, by the DAG's id and the DAG run id; empty for one that is not there.

    Args:
        airflow: what asks Airflow.
        dag_runs: the DAG's id and the DAG run id of each.
    """
    by_dag: dict[str, list[str]] = {}
    for dag_id, dag_run_id in dag_runs:
        by_dag.setdefault(dag_id, []).append(dag_run_id)
    states: dict[tuple[str, str], Mapping[str, Any]] = {}
    for dag_id, dag_run_ids in by_dag.items():
        for begin in range(0, len(dag_run_ids), _AT_ONCE):
            some = dag_run_ids[begin : begin + _AT_ONCE]
            found = airflow.get_task_states(dag_id=dag_id, run_ids=some)
            states |= {(dag_id, dag_run_id): found.get(dag_run_id) or {} for dag_run_id in some}
    return states


def are_over(states: Mapping[str, Any]) -> bool:
    """Return whether a DAG run does nothing more, by the states of its tasks: all have ended, or it is not there."""
    # Compared, not shown: what Airflow returns may be an Enum whose text is not its value.
    return all(state in ENDED for state in states.values())
