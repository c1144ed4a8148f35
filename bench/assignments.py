"""What it costs that many runs wait for somebody to say who reviews them.

A whole stack is started; first nothing waits, then as many runs as are asked for, each with a DAG run in the state
``awaiting_input``. Beside both, a small DAG is run again and again, and the scheduler's processor time looked at. Then
the same with a scheduler that looks at more DAG runs in each of its loops: what waits costs no slot, but the scheduler
looks at it in turn with everything else. Each time one of the questions is answered.

    python bench/assignments.py [--runs 500] [--rounds 5] [--per-loop 20 100 500]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "include")]

from sandbox.stack import Instance  # noqa: E402
from sandbox.stack.airflow_api import AirflowApi  # noqa: E402
from sandbox.stack.environment import LEDGER  # noqa: E402

PER_LOOP = "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE"
DAG, TASK, OTHER = "alma_assign_qa", "ask_who_reviews_it", "check_settings"
MINUTE = "send_mails_and_reconcile"
PROGRAM = ROOT / "tests" / "programs" / "images_awaiting_qa.py"
LOOKED_AT_SECONDS = 30


def make_runs(instance: Instance, number: int) -> list[str]:
    environment = instance.environment() | {"PYTHONPATH": f"{ROOT / 'plugins'}"}
    done = subprocess.run(
        [sys.executable, PROGRAM, str(number)], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def waiting(airflow: AirflowApi) -> int:
    path = f"dags/{DAG}/dagRuns/~/taskInstances"
    return int(airflow.get(path, state="awaiting_input", limit="1")["total_entries"])


@contextmanager
def scheduler(instance: Instance, per_loop: int) -> Iterator[int]:
    """A scheduler that looks at so many DAG runs in each loop; yields its process id."""
    environment = instance.environment() | {PER_LOOP: str(per_loop)}
    command = [str(Path(sys.executable).with_name("airflow")), "scheduler", "--skip-serve-logs"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            yield process.pid
        finally:
            process.terminate()


def look(instance: Instance, airflow: AirflowApi, pid: int, rounds: int) -> dict[str, Any]:
    """Returns what Airflow needs now, with nothing else to do."""
    assert airflow.wait_for_run(OTHER, airflow.trigger(OTHER)) == "success"  # the first one takes longer
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        state = airflow.wait_for_run(OTHER, airflow.trigger(OTHER))
        assert state == "success", state
        taken.append(time.monotonic() - began)
    before = psutil.Process(pid).cpu_times()
    time.sleep(LOOKED_AT_SECONDS)
    after = psutil.Process(pid).cpu_times()
    busy = (after.user + after.system - before.user - before.system) / LOOKED_AT_SECONDS
    pool = airflow.get("pools/default_pool")
    return {
        "waiting": waiting(airflow),
        "slots in use": pool["occupied_slots"] + pool["deferred_slots"],
        "another DAG [s]": f"{statistics.median(taken):.1f} (longest {max(taken):.1f})",
        "scheduler [CPU]": f"{busy:.2f}",
        "scheduler [MB]": psutil.Process(pid).memory_info().rss // 1_000_000,
        "triggerer [MB]": psutil.Process(instance.process("triggerer")).memory_info().rss // 1_000_000,
    }


def answer(instance: Instance, airflow: AirflowApi, run_id: str) -> float:
    """Answers a question; returns the seconds until the ledger has the answer."""
    path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances/{TASK}/-1/hitlDetails"
    option = airflow.get(path)["options"][0]
    began = time.monotonic()
    airflow.patch(path, {"chosen_options": [option], "params_input": {}})
    with psycopg.connect(instance.postgres.url(LEDGER), autocommit=True) as ledger:
        while not ledger.execute("SELECT FROM assignment WHERE pipeline_run_id = %s", (run_id,)).fetchall():
            time.sleep(0.1)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per-loop", type=int, nargs="+", default=[20, 100, 500])
    options = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder) / "instance", tell=print)
        try:
            instance.up()
            airflow = instance.airflow_api()
            for dag in (DAG, OTHER, MINUTE):
                airflow.wait_for_dag(dag)
            airflow.patch("dags/watch_observations", {"is_paused": True})
            instance.stop_component("scheduler")
            with scheduler(instance, options.per_loop[0]) as pid:
                rows["nothing"] = look(instance, airflow, pid, options.rounds)
            with scheduler(instance, options.per_loop[0]):
                run_ids = make_runs(instance, options.runs + len(options.per_loop))
                began = time.monotonic()
                while (now := waiting(airflow)) < len(run_ids):
                    print(f"{time.monotonic() - began:5.0f} s: {now} wait", flush=True)
                    time.sleep(15)
                print(f"{now} questions wait {time.monotonic() - began:.0f} s after the runs came", flush=True)
                # Their mails, which are as many, are out.
                assert airflow.wait_for_run(MINUTE, airflow.trigger(MINUTE)) == "success"
            for per_loop in options.per_loop:
                with scheduler(instance, per_loop) as pid:
                    row = look(instance, airflow, pid, options.rounds)
                    row["answer kept [s]"] = f"{answer(instance, airflow, run_ids.pop()):.1f}"
                rows[f"{row['waiting']}, {per_loop} a loop"] = row
                print(per_loop, row, flush=True)
        finally:
            instance.down()
    print(" " * 18, *(f"{name:>24s}" for name in rows))
    for name in list(rows.values())[-1]:
        print(f"{name:18s}", *(f"{row.get(name, '')!s:>24s}" for row in rows.values()))
    return 0 if len({row["slots in use"] for row in rows.values()}) == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
