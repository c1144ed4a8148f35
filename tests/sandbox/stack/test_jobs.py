from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.condor_pool import condor, condor_of_session  # noqa: F401  fixtures
from tests.jobs import COUNT, NAME, SLEEP, Bench, wait_until
from tests.slurm_server import slurm, slurm_of_session  # noqa: F401  fixtures

import srdp.settings  # noqa: F401  now: the account of HTCondor's tests cannot read it
from sandbox.stack.environment import Places, settings
from sandbox.stack.jobs import cancel_jobs, main
from sandbox.stack.ports import Ports
from srdp.engines import Job, JobState
from srdp.hooks.engines import engine

CAUSE = "a test stops it"
REPORTED = f"Cancelling CASA job {NAME} ..."


class Instance:
    """What an instance has of CASA: a spool area, and the settings of its engine."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, name: str = "local", **options: str) -> None:
        self.area, self.working = folder / "spool", folder / "working"
        self.spool = self.area / NAME.removesuffix(".casa1")
        self.spool.mkdir(parents=True, mode=0o700)
        self.working.mkdir()
        places = Places(root=folder, home=Path(__file__).parents[3])
        for variable, value in (settings(places, Ports(), casa=folder, heuristics=folder) | options).items():
            patch.setenv(variable, value)
        self.engine = engine(name)

    def start(self) -> None:
        """Submits a job that runs until it is ended; returns when it has begun."""
        command = ("/usr/bin/env", "python3", "-I", "-c", SLEEP)
        self.engine.submit(
            Job(
                name=NAME, command=command, working_directory=self.working, environment={}, spool=self.spool, cores=1,
                memory_gb=1,
            )
        )  # fmt: skip
        wait_until((self.working / "starts").exists, 180)

    def is_cancelled(self) -> bool:
        status = self.engine.status(NAME, self.spool)
        return (status.state, status.cancelled, status.cause) == (JobState.ENDED, True, CAUSE)


def no_environment() -> dict[str, str]:
    raise AssertionError("it was asked for")


def test_where_no_job_can_live_no_engine_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.submit(COUNT)
    bench.ended()
    assert cancel_jobs(tmp_path, no_environment, print, CAUSE) == 0


@pytest.mark.servers
def test_a_job_is_cancelled_by_the_local_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instance, said = Instance(tmp_path, monkeypatch), []
    instance.start()
    assert cancel_jobs(instance.area, lambda: dict(os.environ), said.append, CAUSE) == 1
    assert said == [REPORTED]
    assert instance.is_cancelled()


@pytest.mark.team
def test_a_job_is_cancelled_by_slurm(tmp_path, monkeypatch, slurm) -> None:  # noqa: F811
    instance, said = Instance(tmp_path, monkeypatch, "slurm", SRDP_SLURM__PARTITION="casa"), []
    instance.start()
    # What the settings of its engine say counts.
    monkeypatch.setenv("SRDP_SLURM__ANSWER_TIMEOUT_SECONDS", "-1")
    assert cancel_jobs(instance.area, lambda: dict(os.environ), said.append, CAUSE) == 0
    assert "SRDP_SLURM__ANSWER_TIMEOUT_SECONDS" in said[0]
    monkeypatch.delenv("SRDP_SLURM__ANSWER_TIMEOUT_SECONDS")
    assert cancel_jobs(instance.area, lambda: dict(os.environ), said.append, CAUSE) == 1
    assert said[1:] == [REPORTED]
    assert instance.is_cancelled()
    assert NAME not in slurm.ask("squeue", "--noheader", "--format=%j")


@pytest.mark.team
def test_a_job_is_cancelled_by_htcondor(monkeypatch, condor, capsys) -> None:  # noqa: F811
    instance = Instance(condor.new_folder(), monkeypatch, "htcondor", SRDP_HTCONDOR__CONFIG=str(condor.config))
    instance.start()
    # In this process: another one of the account has no packages.
    main([str(instance.area), CAUSE])
    assert capsys.readouterr().out == f"{REPORTED}\n"
    assert instance.is_cancelled()
    assert NAME not in instance.engine.queue().jobs


@pytest.mark.servers
def test_a_job_that_was_lost_does_not_count_as_running(tmp_path: Path) -> None:
    bench, said = Bench(tmp_path), []
    bench.submit(SLEEP)
    wait_until(bench.starts)
    os.kill(bench.wrapper(), signal.SIGKILL)
    wait_until(lambda: bench.status().state is JobState.LOST)
    assert [cancel_jobs(tmp_path, lambda: dict(os.environ), said.append, CAUSE) for _ in range(2)] == [0, 0]
    assert said == []
