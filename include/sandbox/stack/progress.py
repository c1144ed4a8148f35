"""Following a pipeline run through the ledger, as a person would, line by line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from srdp.domain.casa.queue import places
from srdp.domain.common.errors import ServiceUnavailable
from srdp.domain.runs.states import RunState
from srdp.families import families
from srdp.hooks.statements import statement

_POLL_SECONDS = 0.5
# Names, numbers and times; checksums, locators and paths are in the ledger.
_LONGEST_DETAIL = 32
_STILL_THERE_SECONDS = 15.0
_UNDER_WAY = (RunState.CREATED, RunState.FETCHING, RunState.PROCESSING)

# A database that is away for a moment ends no run, and so not the look at one either.
_WHILE_IT_RESTARTS = Retrying(
    retry=retry_if_exception_type(psycopg2.OperationalError),
    stop=stop_after_delay(60),
    wait=wait_fixed(1),
    reraise=True,
)


@dataclass(frozen=True)
class Ledger:
    """The ledger as the command line reads it: the project's own statements, without Airflow.

    Attributes:
        url: the ledger's database.
        sql: the folder of SQL statements, ``include/sql``.
    """

    url: str
    sql: Path

    def _rows(self, folder: str, name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        connection = psycopg2.connect(self.url, connect_timeout=5)
        try:
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(statement(self.sql / folder, name), parameters)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """Return the newest pipeline runs, newest first.

        Args:
            limit: how many at most.
        """
        return self._rows("ledger", "runs_newest", {"limit": limit})

    def reviewers(self) -> dict[str, str]:
        """Return, of each run that awaits an assigned verdict, who reviews it since when, in words."""
        kinds = [family.kind for family in families() if family.is_assigned]
        waiting = self._rows("ledger", "assignment_waiting", {"kinds": kinds, "pipeline_run_id": None})
        return {
            row["pipeline_run_id"]: f"{row['data_analyst']} has it since {row['assigned_at']:%Y-%m-%d %H:%M}"
            if row["number"]
            else "not assigned"
            for row in waiting
        }

    def casa_queue(self) -> Mapping[str, str]:
        """Return the runs that wait for a slot of the pool of CASA jobs, each with its place in words."""
        rows = self._rows("ledger", "casa_queue", {})
        return places((row["pipeline_run_id"], row["state_since"]) for row in rows)

    def newest_run_of(self, subject: str) -> dict[str, Any] | None:
        """Return the newest run of an execution block or a MOUS, or nothing if there is none.

        Args:
            subject: its name or UID.
        """
        return next((run for run in self.runs(500) if run["subject"] == subject), None)

    def events(self, pipeline_run_id: str) -> list[dict[str, Any]]:
        """Return what happened to a run, in order.

        Args:
            pipeline_run_id: which run.
        """
        return self._rows("ledger", "events_of_run", {"pipeline_run_id": pipeline_run_id})

    def watch_began(self) -> bool:
        """Return whether ``watch_observations`` has been started once."""
        (row,) = self._rows("sandbox", "watch_began", {})
        return bool(row["began"])


def wait_for_watch(ledger: Ledger, *, timeout: float) -> None:
    """Return when ``watch_observations`` has begun: what is ingested before is history to it, and not calibrated.

    Args:
        ledger: where to look.
        timeout: seconds to wait.

    Raises:
        ServiceUnavailable: it did not begin in that time.
    """
    deadline = time.monotonic() + timeout
    while not ledger.watch_began():
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"The DAG watch_observations has not begun within {timeout:.0f} s: look at it in Airflow."
            )
        time.sleep(_POLL_SECONDS)


def wait_for_run(ledger: Ledger, subject: str, *, dag: str, timeout: float) -> str:
    """Return the pipeline run ID of the run that an observation or a request causes, as soon as the ledger has it.

    Args:
        ledger: where to look.
        subject: the execution block's name, or the UID of the MOUS.
        dag: the DAG that starts it.
        timeout: seconds to wait.

    Raises:
        ServiceUnavailable: nothing was started in that time.
    """
    deadline = time.monotonic() + timeout
    while (run := _WHILE_IT_RESTARTS(ledger.newest_run_of, subject)) is None:
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"No run of {subject} was opened within {timeout:.0f} s: look at the DAG {dag} in Airflow."
            )
        time.sleep(_POLL_SECONDS)
    return str(run["pipeline_run_id"])


def follow(
    ledger: Ledger,
    subject: str,
    *,
    report: Callable[[str], None],
    casa_says: Callable[[str], str],
    timeout: float,
) -> dict[str, Any]:
    """Tells what the ledger notes about a run until it waits for QA or ended otherwise; returns its row.

    Args:
        ledger: where to look.
        subject: the execution block's name, or the UID of the MOUS.
        report: where a line goes.
        casa_says: what CASA does just now, for a pipeline run ID; one line, or nothing.
        timeout: seconds to wait for the end.

    Raises:
        ServiceUnavailable: it has not ended in that time.
    """
    started = last_line = time.monotonic()
    shown_events = 0
    # A stage's tables are named after others, whose names the log then mentions again.
    spoken = {""}
    while True:
        run = _WHILE_IT_RESTARTS(ledger.newest_run_of, subject)
        if run is None:
            raise ServiceUnavailable(f"The ledger holds no run of {subject}.")
        events = _WHILE_IT_RESTARTS(ledger.events, run["pipeline_run_id"])
        for event in events[shown_events:]:
            report(_sentence(event))
            last_line = time.monotonic()
        shown_events = len(events)
        if run["state"] not in _UNDER_WAY:
            return run
        now = casa_says(run["pipeline_run_id"]) if run["state"] == RunState.PROCESSING else ""
        if now not in spoken:
            report(f"    {now}")
            spoken.add(now)
            last_line = time.monotonic()
        if time.monotonic() - last_line > _STILL_THERE_SECONDS:
            report(f"    ({_still(ledger, run, seconds=time.monotonic() - started)})")
            last_line = time.monotonic()
        if time.monotonic() - started > timeout:
            raise ServiceUnavailable(
                f"Pipeline run {run['pipeline_run_id']} is still {run['state']} after {timeout:.0f} s; it continues."
            )
        time.sleep(_POLL_SECONDS)


def _still(ledger: Ledger, run: Mapping[str, Any], *, seconds: float) -> str:
    """What a run does about which nothing new is known."""
    place = ledger.casa_queue().get(run["pipeline_run_id"])
    return place or f"{run['state'].replace('_', ' ')}, looked at for {seconds:.0f} s"


def _sentence(event: Mapping[str, Any]) -> str:
    when = event["happened_at"].astimezone().strftime("%H:%M:%S")
    what = str(event["event"]).replace("_", " ")
    change = ""
    if event["state_after"] and event["state_after"] != event["state_before"]:
        change = f"  -> {event['state_after'].replace('_', ' ')}"
    return f"{when}  {what}{change}{_short(event['details'])}"


def _short(details: Mapping[str, Any]) -> str:
    """The plain values of an event's details, as far as a line holds them."""
    plain = [f"{name.replace('_', ' ')} {value}" for name, value in details.items() if _is_plain(value)]
    text = ", ".join(plain)
    return f"  ({text})" if text else ""


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool) and len(str(value)) <= _LONGEST_DETAIL
