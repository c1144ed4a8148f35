"""Whether the workflows are alive, as seen from outside Airflow.

What is stuck reports nothing: a scheduler whose clock was set back starts no DAG run and fails none. So signs of life
are looked for, each on a way that does not lead through what it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from srdp.check.concurrently import Check
from srdp.domain.common.errors import ServiceUnavailable, SrdpError, quoted
from srdp.domain.runs.areas import check_area_is_there
from srdp.hooks.airflow_rest import AirflowRestHook
from srdp.hooks.heartbeat import ARCHIVE_ASKED, MAILS, OUTBOX_ASKED, WATCH, heartbeats
from srdp.hooks.postgres import rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

#: What is wrong with these is looked at in the morning; all else is looked at now.
WARNINGS: Final = frozenset({"DAGs", "outbox"})

_COMPONENTS: Final = ("scheduler", "triggerer", "dag_processor")
_DAGS: Final = ("watch_observations", "send_mails_and_reconcile")
# Each sign of life, and where to look if it is not given.
_BY_WATCHERS: Final = {ARCHIVE_ASKED: _DAGS[0], OUTBOX_ASKED: _DAGS[1]}
_BY_DAG_RUNS: Final = {WATCH: _DAGS[0], MAILS: _DAGS[1]}
# Two hosts' clocks differ a little, and a row is written a little before it is read.
_AHEAD_SECONDS: Final = 30.0
_MOST_TASKS: Final = 100
_MOST_ASKED: Final = 5
_TAKEN_SECONDS: Final = 10.0


def checks(settings: Settings, seconds: float) -> Iterator[Check]:
    """Yield what is looked at.

    Args:
        settings: what is alive, and from when on it is not.
        seconds: how long each look may take.
    """
    airflow = f"see whether the API server is up, and the Airflow connection {settings.airflow_connection}"
    ledger = f"see whether the ledger's database is up, and the Airflow connection {settings.ledger_connection}"
    yield Check("components", partial(check_components, settings), airflow, seconds)
    yield Check("DAGs", partial(check_dags, settings), airflow, seconds)
    yield Check("tasks", partial(check_tasks, settings), airflow, seconds)
    for name in (*_BY_WATCHERS, *_BY_DAG_RUNS):
        yield Check(name, partial(check_heartbeat, settings, name), ledger, seconds)
    yield Check("outbox", partial(check_outbox, settings), ledger, seconds)
    for variable, area in settings.named_areas().items():
        see = f"see the file system of {area} on this host"
        yield Check(f"area {variable}", partial(check_area, settings, variable), see, seconds)


def check_components(settings: Settings) -> str:
    """Ask the API server for the heartbeats of Airflow's other components.

    Raises:
        SrdpError: it does not answer, or one of them is gone.
    """
    health = AirflowRestHook(settings.airflow_connection).health()
    gone = [
        _gone(health, name) for name in ("metadatabase", *_COMPONENTS) if _of(health, name).get("status") != "healthy"
    ]
    if gone:
        raise ServiceUnavailable(f"{'; '.join(gone)}: see whether it runs, and the end of its log.")
    return "API server, scheduler, triggerer, dag-processor and Airflow's database answer."


def _of(health: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    entry = health.get(name)
    return entry if isinstance(entry, dict) else {}


def _gone(health: Mapping[str, Any], name: str) -> str:
    called = name.replace("_", "-")
    if name not in _COMPONENTS:
        return "the API server does not reach Airflow's database"
    beat = _moment(_of(health, name).get(f"latest_{name}_heartbeat"))
    return f"{called} has no heartbeat" if beat is None else f"{called} is gone since {beat:%Y-%m-%d %H:%M:%S} UTC"


def check_dags(settings: Settings) -> str:
    """Look whether the DAGs are there that work by themselves, and every DAG file can be read.

    Raises:
        SrdpError: one is paused or missing, or a DAG file has an error.
    """
    airflow = AirflowRestHook(settings.airflow_connection)
    found = {str(dag.get("dag_id")): dag for dag in _items(airflow.get("dags", limit=1000, exclude_stale=True), "dags")}
    wrong = [f"{name} is not there" for name in _DAGS if name not in found]
    wrong += [f"{name} is paused" for name in _DAGS if found.get(name, {}).get("is_paused")]
    errors = _items(airflow.get("importErrors", limit=1), "import_errors")
    wrong += [f"{quoted(error.get('filename'), 200)} cannot be read as a DAG file" for error in errors]
    if wrong:
        raise SrdpError(f"{'; '.join(wrong)}: look at it in Airflow.")
    return f"{len(found)} DAGs are there, and what works by itself is not paused."


def check_tasks(settings: Settings) -> str:
    """Look for tasks that wait for a worker or a triggerer for too long, and for those whose triggerer is gone.

    Raises:
        SrdpError: there are some.
    """
    airflow = AirflowRestHook(settings.airflow_connection)
    limit = timedelta(minutes=settings.health_queued_minutes)
    queued, deferred = _tasks_that_nobody_takes(airflow), _tasks(airflow, "deferred")
    before = datetime.now(UTC) - limit
    untaken = [{**task["trigger"], **task} for task in deferred if _is_left_alone(task)]
    taken = [{**task["triggerer_job"], **task} for task in deferred if isinstance(task.get("triggerer_job"), dict)]
    see = "see whether a triggerer runs"
    wrong = [
        _too_long(queued, "ready", before, "queued", "see whether there are workers for the queue"),
        _too_long(untaken, "created_date", before, "waiting for a triggerer", see),
        _too_long(taken, "latest_heartbeat", before, "orphaned, their triggerer is gone", see),
    ]
    if any(wrong):
        raise SrdpError(" ".join(filter(None, wrong)))
    return f"none is left in a queue or orphaned for more than {settings.health_queued_minutes:g} min."


def _tasks(airflow: AirflowRestHook, state: str) -> Sequence[dict[str, Any]]:
    path = "dags/~/dagRuns/~/taskInstances"
    return _items(airflow.get(path, state=state, limit=_MOST_TASKS, order_by="id"), "task_instances")


def _tasks_that_nobody_takes(airflow: AirflowRestHook) -> Sequence[dict[str, Any]]:
    """Return tasks for a queue in which none runs, each with the time since when it is ready.

    One that waits behind others of its queue is in order. When it was queued says little: one that no worker takes is
    queued again every two minutes.
    """
    busy = {task.get("queue") for task in _tasks(airflow, "running")}
    left = [task for task in _tasks(airflow, "queued") if task.get("queue") not in busy]
    # A worker that is there takes a task within a moment, and each of these costs a question.
    moment_ago = datetime.now(UTC) - timedelta(seconds=_TAKEN_SECONDS)
    left = [task for task in left if (queued := _moment(task.get("queued_when"))) is not None and queued < moment_ago]
    return [{**task, "ready": _ready_since(airflow, task)} for task in left[:_MOST_ASKED]]


def _ready_since(airflow: AirflowRestHook, task: Mapping[str, Any]) -> str:
    """Return when the last task before it ended, of the same DAG run; when that was to begin if none has."""
    dag, run = (quote(str(task.get(name)), safe="") for name in ("dag_id", "dag_run_id"))
    others = _items(airflow.get(f"dags/{dag}/dagRuns/{run}/taskInstances", limit=_MOST_TASKS), "task_instances")
    ended = [moment for other in others if (moment := _moment(other.get("end_date"))) is not None]
    began = _moment(task.get("run_after"))
    return max([*ended, *([began] if began else [])], default=datetime.now(UTC)).isoformat()


def _is_left_alone(task: Mapping[str, Any]) -> bool:
    trigger = task.get("trigger")
    return isinstance(trigger, dict) and trigger.get("triggerer_id") is None


def _too_long(tasks: Sequence[Mapping[str, Any]], since: str, before: datetime, are: str, see: str) -> str:
    """Return a sentence about the tasks that are something since before a moment; nothing if none is."""
    old = [(moment, task) for task in tasks if (moment := _moment(task.get(since))) is not None and moment < before]
    if not old:
        return ""
    moment, task = min(old, key=lambda each: each[0])
    named = quoted(f"{task.get('dag_id')}.{task.get('task_id')}", 200)
    return f"{len(old)} task(s) are {are}, the first, {named}, since {moment:%Y-%m-%d %H:%M} UTC: {see}."


def check_heartbeat(settings: Settings, name: str) -> str:
    """Look when something was last done that is done again and again.

    Args:
        settings: the ledger, and for how long it may be left undone.
        name: what it is.

    Raises:
        SrdpError: it is too long ago; or it is ahead, because the ledger's clock was set back.
    """
    seconds = heartbeats(settings)[name]
    if name in _BY_WATCHERS:
        limit = settings.health_heartbeat_minutes
        look = f"look at the triggerer's log, and whether {_BY_WATCHERS[name]} is paused"
    else:
        limit = settings.health_dag_run_minutes
        look = f"look at {_BY_DAG_RUNS[name]} in Airflow, and at the scheduler"
    if seconds < -_AHEAD_SECONDS:
        raise SrdpError(
            f"it was last done {-seconds / 60:.0f} min ahead of the present time and not since: a clock was set back, "
            f"and Airflow starts nothing before the time that it had planned: correct the clock, and {look}."
        )
    if seconds > 60 * limit:
        raise SrdpError(f"it was not done for {seconds / 60:.0f} min: {look}.")
    return f"done in the last {max(seconds, 0) / 60:.0f} min."


def check_outbox(settings: Settings) -> str:
    """Look for how long mails wait.

    Raises:
        SrdpError: one has waited for too long.
    """
    with transaction(settings.ledger_connection, what="The ledger's database") as cursor:
        (waiting,) = rows(cursor, settings.sql / "ledger", "outbox_waiting")
    minutes = waiting["oldest_seconds"] / 60
    waiting_mails = f"{waiting['mails']} mail(s) wait, the oldest for {minutes:.0f} min"
    if minutes > settings.health_outbox_minutes:
        raise ServiceUnavailable(f"{waiting_mails}: see the mail server, and the log of Send the mails that are due.")
    return f"{waiting_mails}."


def check_area(settings: Settings, variable: str) -> str:
    """Look for the marker of an area.

    Args:
        settings: the areas.
        variable: the setting that names it.

    Raises:
        SrdpError: the area is not there.
    """
    check_area_is_there(settings.named_areas()[variable], variable)
    return "it is there."


def _items(answer: Mapping[str, Any], name: str) -> Sequence[dict[str, Any]]:
    items = answer.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None
