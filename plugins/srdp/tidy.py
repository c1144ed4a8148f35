"""Removes what Airflow keeps of the workflows and nobody reads any more: ``python -m srdp.tidy``, once a day.

Old DAG runs, with all that belongs to them, are removed by Airflow's own ``airflow db clean``, and old log files by
this program: of the workflows' own DAGs, and of no other. It runs beside the scheduler, with its environment, because
Airflow's database is out of the reach of a task. What happened to a pipeline run is in the ledger forever.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srdp.domain.common.errors import SettingsError, SrdpError, quoted
from srdp.families.forms import FORMS

if TYPE_CHECKING:
    from srdp.settings import Settings

#: The DAGs that work by themselves: what their runs have done is in the ledger, in mails, or nothing.
BY_THEMSELVES: Final = ("check_settings", "expire_processing_area", "send_mails_and_reconcile", "watch_observations")
_DAY_SECONDS: Final = 86400.0
# Nothing of what starts with it waits for it.
_FIRST_SECONDS: Final = 900.0
_ROWS_AT_ONCE: Final = 1000
_CLEAN_SECONDS: Final = 3600.0
# What Airflow says with --error-on-cleanup-failure.
_NOT_CLEANED: Final = re.compile(r"did not clean them: \[([^\]]*)\]")


def tidy(settings: Settings, logs: Path, *, now: datetime | None = None) -> list[str]:
    """Remove what is older than the settings say; return a line about each thing that was done.

    Args:
        settings: for how many days what is kept.
        logs: Airflow's folder of log files.
        now: the present time (UTC); the clock's if not given.

    Raises:
        SrdpError: Airflow could not clean its database; the log files are removed all the same.
    """
    now = now or datetime.now(UTC)
    removed = remove_logs(logs, now - timedelta(days=settings.log_days))
    lines = [f"{removed} log file(s) older than {settings.log_days} days are removed from {logs}."]
    others = sorted(set(FORMS) - set(BY_THEMSELVES))
    for dags, days in ((BY_THEMSELVES, settings.own_dag_runs_days), (others, settings.dag_runs_days)):
        before = now - timedelta(days=days)
        open_since = oldest_open(dags, before)
        closed = [dag for dag in dags if dag not in open_since]
        if closed:
            clean_database(closed, before)
            names = ", ".join(closed)
            lines.append(f"Airflow has no DAG run older than {days} days of {names}, but the last of each.")
        for dag, since in open_since.items():
            clean_database([dag], since)
            lines.append(
                f"Of {dag} only DAG runs before {since:%Y-%m-%d} are removed: one that began then is still open."
            )
    return lines


def oldest_open(dags: Sequence[str], before: datetime) -> dict[str, datetime]:
    """Return when the oldest DAG run began that is not at its end, of those DAGs that have an open one so old.

    Airflow's command removes it too, and a pipeline run whose DAG run is gone is taken for lost.

    Args:
        dags: the DAGs.
        before: an open DAG run that began later (UTC) does not count.

    Raises:
        SrdpError: Airflow's database does not answer.
    """
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import State
    from sqlalchemy import func, select
    from sqlalchemy.exc import SQLAlchemyError

    oldest = (
        select(DagRun.dag_id, func.min(DagRun.start_date).label("since"))
        .where(DagRun.dag_id.in_(dags), DagRun.state.in_(State.unfinished_dr_states), DagRun.start_date < before)
        .group_by(DagRun.dag_id)
    )
    try:
        with create_session() as session:
            return {row.dag_id: row.since for row in session.execute(oldest)}
    except SQLAlchemyError as error:
        raise SrdpError(f"Airflow's database does not say which DAG runs are open: {quoted(error, 300)}.") from None


def clean_database(dags: Sequence[str], before: datetime) -> None:
    """Have Airflow remove the DAG runs of some DAGs and what it has logged of them in its database.

    Args:
        dags: the DAGs.
        before: what began before that time (UTC) is removed, but for the last DAG run of each.

    Raises:
        SrdpError: Airflow could not.
    """
    airflow = shutil.which("airflow", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if airflow is None:
        raise SettingsError("There is no command airflow: run this with the Python that Airflow is installed in.")
    command = [
        airflow, "db", "clean", "--yes", "--skip-archive", "--error-on-cleanup-failure",
        "--batch-size", str(_ROWS_AT_ONCE), "--tables", "dag_run,log", "--dag-ids", ",".join(dags),
        "--clean-before-timestamp", before.isoformat(timespec="seconds"),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_CLEAN_SECONDS)
    except subprocess.TimeoutExpired:
        raise SrdpError(
            f"`airflow db clean` did not end within {_CLEAN_SECONDS / 3600:.0f} h: it continues tomorrow."
        ) from None
    lines = (done.stderr or done.stdout).strip()
    failed = _NOT_CLEANED.findall(lines)
    # Airflow 3.3 looks for a DAG in this table, which has none; its rows go with their DAG runs.
    if done.returncode != 0 and (not failed or set(failed[-1].split(", ")) != {"'deadline'"}):
        raise SrdpError(f"`airflow db clean` ended with {done.returncode}: {lines[-1000:]}")


def remove_logs(logs: Path, before: datetime) -> int:
    """Remove old log files of the workflows' tasks and of the DAG processor; return how many.

    Args:
        logs: Airflow's folder of log files.
        before: what was last written before that time is removed, with the folders that are then empty.
    """
    removed, limit = 0, before.timestamp()
    for folder in _folders_of_logs(logs):
        # Looked at before anything is removed, which changes them: a new folder is one that somebody is about to fill.
        old = {place for place, _, _ in os.walk(folder) if _written(place) < limit}
        for place, _, files in os.walk(folder, topdown=False):
            for path in (Path(place, name) for name in files):
                with contextlib.suppress(OSError):  # somebody else removes it
                    if _written(path) < limit and not path.is_symlink():
                        path.unlink()
                        removed += 1
            if place in old and Path(place) != folder:
                with contextlib.suppress(OSError):  # it is not empty
                    Path(place).rmdir()
    return removed


def _written(path: str | Path) -> float:
    try:
        return Path(path).lstat().st_mtime
    except OSError:
        return math.inf


def _folders_of_logs(logs: Path) -> Iterator[Path]:
    for name in (*(f"dag_id={dag_id}" for dag_id in FORMS), "dag_processor"):
        folder = logs / name
        if folder.is_dir() and not folder.is_symlink():
            yield folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it once, or every day; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m srdp.tidy", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--daily", action="store_true", help="stay, and do it every day, the first time in a quarter of an hour"
    )
    if parser.parse_args(arguments).daily:
        _every_day()
    from airflow.configuration import conf

    from srdp.settings import load_settings

    try:
        for line in tidy(load_settings(), Path(conf.get_mandatory_value("logging", "base_log_folder"))):
            print(line)
    except SrdpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _every_day() -> None:
    pause = _FIRST_SECONDS
    while True:
        time.sleep(pause)
        # A process of its own: between two of them nothing of Airflow is in memory.
        subprocess.run([sys.executable, "-m", "srdp.tidy"], check=False)
        pause = _DAY_SECONDS


if __name__ == "__main__":
    sys.exit(main())
