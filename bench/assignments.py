"""What it costs that many runs wait for somebody to say who reviews them.

A whole stack is started; first nothing waits, then as many runs as are asked for, each with a DAG run in the state
``awaiting_input``. Beside both, a small DAG is run again and again, and the scheduler's processor time is looked at. In
the end one of the questions is answered.

    python bench/assignments.py [--runs 500] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "include")]

from sandbox.stack import Instance  # noqa: E402
from sandbox.stack.airflow_api import AirflowApi  # noqa: E402

DAG, TASK, OTHER = "alma_assign_qa", "ask_who_reviews_it", "check_settings"
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


def processor_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def look(instance: Instance, airflow: AirflowApi, rounds: int) -> dict[str, Any]:
    """Returns what Airflow needs now, with nothing else to do."""
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        state = airflow.wait_for_run(OTHER, airflow.trigger(OTHER))
        assert state == "success", state
        taken.append(time.monotonic() - began)
    scheduler = instance.process("scheduler")
    before = processor_seconds(scheduler)
    time.sleep(LOOKED_AT_SECONDS)
    busy = (processor_seconds(scheduler) - before) / LOOKED_AT_SECONDS
    pool = airflow.get("pools/default_pool")
    return {
        "waiting": waiting(airflow),
        "slots in use": pool["occupied_slots"] + pool["deferred_slots"],
        "another DAG [s]": f"{statistics.median(taken):.1f} (longest {max(taken):.1f})",
        "scheduler [CPU]": f"{busy:.2f}",
        "scheduler [MB]": psutil.Process(scheduler).memory_info().rss // 1_000_000,
        "triggerer [MB]": psutil.Process(instance.process("triggerer")).memory_info().rss // 1_000_000,
    }


def answer(airflow: AirflowApi, run_id: str) -> float:
    """Answers a question; returns the seconds until its DAG run has ended."""
    path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances/{TASK}/-1/hitlDetails"
    option = airflow.get(path)["options"][0]
    began = time.monotonic()
    airflow.patch(path, {"chosen_options": [option], "params_input": {}})
    assert airflow.wait_for_run(DAG, run_id) == "success"
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder) / "instance", tell=print)
        try:
            instance.up()
            airflow = instance.airflow_api()
            for dag in (DAG, OTHER, "send_mails_and_reconcile"):
                airflow.wait_for_dag(dag)
            airflow.patch("dags/watch_observations", {"is_paused": True})
            rows = [look(instance, airflow, options.rounds)]
            run_ids = make_runs(instance, options.runs)
            began = time.monotonic()
            while (now := waiting(airflow)) < options.runs:
                print(f"{time.monotonic() - began:5.0f} s: {now} wait", flush=True)
                time.sleep(15)
            print(f"{options.runs} questions wait {time.monotonic() - began:.0f} s after the runs came")
            rows.append(look(instance, airflow, options.rounds))
            print(f"An answer is recorded and told within {answer(airflow, run_ids[0]):.1f} s")
        finally:
            instance.down()
    for name in rows[0]:
        print(f"{name:18s} {rows[0][name]!s:>24s} {rows[1][name]!s:>24s}")
    return 0 if rows[1]["waiting"] == options.runs and rows[1]["slots in use"] == rows[0]["slots in use"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
