"""A whole calibration with real CASA as a job of a real Slurm, while what waits for it is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.site_demo import Demo
from tests.e2e.site_tools import until
from tests.slurm_server import SlurmServer, slurm, slurm_of_session  # noqa: F401  fixtures

from sandbox.stack.environment import LEDGER
from sandbox.stack.ports import Ports

pytestmark = [pytest.mark.team, pytest.mark.casa, pytest.mark.airflow]


@pytest.fixture
def demo(tmp_path: Path, slurm: SlurmServer) -> Iterator[Demo]:  # noqa: F811
    settings = {
        "SRDP_ENGINE": "slurm",
        "SRDP_SLURM__PARTITION": "casa",
        "SRDP_SLURM__MEMORY_GB": "1",
        "SRDP_SLURM__WALL_TIME_HOURS": "1",
        "SRDP_SLURM__GRACE_SECONDS": "5",
    }
    made = Demo(tmp_path / "demo", Ports.free(), settings)
    yield made
    made.command("stop")


@pytest.mark.timeout(900)
def test_a_calibration_as_a_job_of_slurm_outlives_scheduler_and_triggerer(demo: Demo, slurm: SlurmServer) -> None:  # noqa: F811
    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(demo.command, "demo")
        until(
            "a job that runs in Slurm",
            lambda: called.done() or ".casa1" in slurm.ask("squeue", "--states=R", "--noheader", "--format=%j"),
            seconds=600,
        )
        assert not called.done(), called.result()
        for component in ("triggerer", "scheduler"):
            os.kill(demo.instance.process(component), signal.SIGKILL)
        said = called.result()
    assert said.returncode == 0, said.stdout + said.stderr
    (run,) = demo.rows(LEDGER, "SELECT pipeline_run_id, state, lowest_score FROM pipeline_run")
    assert run["state"] == "awaiting_qa"
    assert run["lowest_score"] > 0.9
    chosen = demo.rows(LEDGER, "SELECT details FROM event WHERE event = 'engine_chosen'")
    assert [row["details"] for row in chosen] == [{"engine": "slurm"}]
    jobs = slurm.ask("squeue", "--states=all", "--noheader", "--format=%j").split()
    assert jobs.count(f"{run['pipeline_run_id']}.casa1") == 1
