"""The engine of Slurm when Slurm fails: real daemons, which are killed and stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.jobs import COUNT, SLEEP, alive, wait_until
from tests.slurm_server import SlurmServer
from tests.srdp.engines.contract.sites import GRACE_SECONDS, Site, slurm_engine

from srdp.domain.common.errors import ServiceUnavailable
from srdp.engines import JobNotStarted, JobState
from srdp.engines.base import QueueState
from srdp.engines.batch_system import NoAnswer
from srdp.engines.local_records import SUBMISSION

pytestmark = pytest.mark.team

UNTIL_GO = COUNT + "while not os.path.exists('go'): time.sleep(0.05)\n"


@pytest.fixture
def site(slurm: SlurmServer, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "world", slurm_engine)
    yield made
    slurm.revive()
    made.cancel("the test is over")


def test_a_job_that_slurm_forgot_before_it_started_is_submitted_again(site: Site, slurm: SlurmServer) -> None:
    slurm.settle()
    saved = {path: path.read_bytes() for path in (slurm.folder / "state").glob("job_state*")}
    slurm.kill("slurmd")  # so that it waits
    site.submit(UNTIL_GO)
    slurm.kill("slurmctld")
    # What slurmctld loses that is killed within a second of a submit: its number is given to the next job.
    for path, content in saved.items():
        path.write_bytes(content)
    slurm.revive()
    other = slurm.submit("other")
    assert json.loads((site.records / SUBMISSION).read_text())["native_id"] == other
    assert site.status().state is JobState.WAITING
    site.until(JobState.ABSENT)
    with pytest.raises(JobNotStarted, match="without starting CASA"):
        site.submit(UNTIL_GO)
    site.submit(UNTIL_GO)
    (site.working / "go").touch()
    assert site.until(JobState.ENDED).exit_code == 0
    assert len(site.starts()) == 1


def test_a_job_whose_start_slurm_forgot_is_lost_and_not_run_a_second_time(site: Site, slurm: SlurmServer) -> None:
    """Slurm ends it as one that it does not know, or begins it again as one that waited."""
    site.submit(SLEEP)
    program = site.started()
    slurm.kill("slurmctld")
    slurm.revive()
    assert site.until(JobState.LOST).cause
    wait_until(lambda: not alive(program))
    site.submit(SLEEP)
    assert len(site.starts()) == 1


def test_a_slurmctld_killed_while_a_job_runs_and_ends_costs_nothing(site: Site, slurm: SlurmServer) -> None:
    site.submit(UNTIL_GO)
    site.started()
    slurm.settle()
    slurm.kill("slurmctld")
    (site.working / "go").touch()
    assert site.until(JobState.ENDED).exit_code == 0
    site.submit(UNTIL_GO)
    assert len(site.starts()) == 1


@pytest.mark.parametrize("killed", ["slurmd", "slurmstepd"])
def test_a_node_daemon_that_is_killed_ends_no_job(site: Site, slurm: SlurmServer, killed: str) -> None:
    site.submit(UNTIL_GO)
    site.started()
    if killed == "slurmd":
        slurm.kill("slurmd")
    else:
        for process in slurm.step_daemons():
            process.kill()
    assert site.status().state is JobState.RUNNING
    (site.working / "go").touch()
    assert site.until(JobState.ENDED).exit_code == 0
    assert len(site.starts()) == 1


def test_a_lost_job_that_lives_on_a_node_out_of_reach_is_ended_there_all_the_same(
    site: Site, slurm: SlurmServer
) -> None:
    site.submit(SLEEP)
    program = site.started()
    slurm.kill("slurmd")
    lost = site.until(JobState.LOST)
    assert alive(program)
    site.cancel(str(lost.cause))
    wait_until(lambda: not alive(program))
    status = site.until(JobState.ENDED)
    assert not status.cancelled
    assert "NODE_FAIL" in str(status.cause)


def test_a_job_that_takes_too_long_says_which_wall_time_to_raise(site: Site) -> None:
    site.engine = slurm_engine(wall_time_hours=1 / 60)
    site.seconds = 180.0
    site.submit(SLEEP)
    status = site.until(JobState.ENDED, JobState.LOST)
    assert status.cause == "Slurm ended it after its wall time of 1 min; raise SRDP_SLURM__WALL_TIME_HOURS"
    assert not status.cancelled


def test_a_job_that_takes_too_much_memory_says_so_with_the_figure(site: Site) -> None:
    site.submit(COUNT + "kept = [bytearray(1_300_000_000).replace(b'0', b'1')]\ntime.sleep(600)\n")
    status = site.until(JobState.ENDED, JobState.LOST)
    assert "used more than the 1 GB of memory" in str(status.cause)
    assert "SRDP_SLURM__MEMORY_GB" in str(status.cause)


def test_a_job_for_a_partition_that_is_down_waits_with_the_reason(site: Site) -> None:
    site.engine = slurm_engine(partition="down")
    site.submit(COUNT)
    wait_until(lambda: "PartitionDown" in str(site.status().note))
    site.stays(JobState.WAITING, GRACE_SECONDS + 1)
    site.cancel()
    assert site.status().cancelled
    assert not site.starts()


def test_what_slurm_refuses_is_not_started_and_says_why(site: Site) -> None:
    site.engine = slurm_engine(partition="none")
    with pytest.raises(JobNotStarted, match=r"Slurm refused job .*[iI]nvalid partition"):
        site.submit(COUNT)
    site.engine = slurm_engine()
    site.submit(COUNT)
    assert site.until(JobState.ENDED).exit_code == 0


def test_a_full_queue_is_reported_and_the_job_submitted_once_there_is_room(site: Site, slurm: SlurmServer) -> None:
    blocking = slurm.submit("blocking", "--hold")
    slurm.configure(MaxJobCount="1")
    try:
        site.engine = slurm_engine(answer_timeout_seconds=3.0)
        with pytest.raises(JobNotStarted, match="temporarily unable to accept job"):
            site.submit(COUNT)
        assert site.status().state is JobState.WAITING, "it may have been taken"
    finally:
        slurm.configure(MaxJobCount="1000")
        slurm.ask("scancel", blocking)
    wait_until(lambda: site.status().state is JobState.ABSENT)
    site.submit(COUNT)
    assert site.until(JobState.ENDED).exit_code == 0
    assert len(site.starts()) == 1


def test_a_submission_whose_answer_was_lost_is_found_by_its_name(site: Site, slurm: SlurmServer) -> None:
    asked = site.engine.system._run  # type: ignore[attr-defined]

    def unheard(command, stdin, seconds):
        ran = asked(command, stdin, seconds)
        assert ran.code == 0
        raise TimeoutError

    site.engine.system._run = lambda *call: unheard(*call) if call[0][0] == "sbatch" else asked(*call)  # type: ignore[attr-defined]
    with pytest.raises(JobNotStarted):
        site.submit(UNTIL_GO)
    other = site.make()
    other.submit(site.job(UNTIL_GO))
    assert other.queue().jobs[site.name].state is not QueueState.ENDED
    assert len([name for name in slurm.ask("squeue", "--noheader", "--format=%j").split() if name == site.name]) == 1
    (site.working / "go").touch()
    site.engine = other
    assert site.until(JobState.ENDED).exit_code == 0


def test_a_submission_that_slurm_hears_late_is_not_made_a_second_time(site: Site, slurm: SlurmServer) -> None:
    """As when slurmctld hangs: sbatch is given up, and its message is heard after the next question."""
    asked = site.engine.system._run  # type: ignore[attr-defined]
    on_their_way = []

    def hang(command, stdin, seconds):
        if command[0] != "sbatch":
            return asked(command, stdin, seconds)
        on_their_way.append((command, stdin, seconds))
        raise NoAnswer("sbatch gave no answer.")

    site.engine.system._run = hang  # type: ignore[attr-defined]
    with pytest.raises(JobNotStarted):
        site.submit(UNTIL_GO)
    given_up = time.monotonic() + GRACE_SECONDS
    wait_until(lambda: time.monotonic() > given_up)
    with pytest.raises(JobNotStarted, match="gave no answer when"):
        site.submit(UNTIL_GO)
    for message in on_their_way:
        asked(*message)
    site.engine = site.make()
    site.submit(UNTIL_GO)
    assert slurm.ask("squeue", "--noheader", "--format=%j").split().count(site.name) == 1
    site.started()
    (site.working / "go").touch()
    assert site.until(JobState.ENDED).exit_code == 0


@pytest.mark.parametrize("why", ["--hold", "--partition=down"])
def test_a_second_job_of_the_name_that_waits_does_not_hide_the_running_one(
    site: Site, slurm: SlurmServer, why: str
) -> None:
    site.submit(UNTIL_GO)
    site.started()
    slurm.submit(site.name, why)
    site.stays(JobState.RUNNING, GRACE_SECONDS + 1)
    (site.working / "go").touch()
    assert site.until(JobState.ENDED).exit_code == 0


def test_a_question_that_hangs_is_given_up_and_says_nothing_of_the_job(site: Site, slurm: SlurmServer) -> None:
    site.submit(SLEEP)
    site.started()
    slurm.pause("slurmctld")
    try:
        site.engine = slurm_engine(answer_timeout_seconds=2.0)
        for _ in range(4):  # for longer than records may be late
            began = time.monotonic()
            status = site.status()
            assert time.monotonic() - began < 10
            assert status.state is JobState.RUNNING
            assert "gave no answer within 2 s" in str(status.note)
    finally:
        slurm.resume("slurmctld")


def test_a_held_job_says_so(site: Site, slurm: SlurmServer) -> None:
    site.engine = slurm_engine(options=["--hold"])
    site.submit(COUNT)
    status, number = site.status(), site.engine.queue().jobs[site.name].native_id
    assert status.note == f"held PENDING, JobHeldUser: fix that, then let it continue with scontrol release {number}"
    assert status.hold == 0
    slurm.ask("scontrol", "release", number)
    assert site.until(JobState.ENDED).exit_code == 0


def test_jobs_of_others_with_any_name_confuse_nobody(site: Site, slurm: SlurmServer) -> None:
    hostile = f"x\n7|RUNNING|node|None|y|z\n|{site.name}"
    slurm.submit(hostile, "--hold")
    assert site.name not in (site.engine.queue().jobs or {})
    assert site.status().state is JobState.ABSENT


def test_a_job_of_another_account_is_not_ended_with_the_service_s_own_of_its_name(
    site: Site, slurm: SlurmServer
) -> None:
    other = slurm.submit(site.name, "--uid=nobody", "--gid=nogroup", "--hold")
    try:
        site.submit(SLEEP)
        site.started()
        site.cancel()
        assert slurm.ask("squeue", "--noheader", f"--jobs={other}", "--format=%T").strip() == "PENDING"
    finally:
        slurm.ask("scancel", other)


def test_the_check_names_slurm_and_a_partition_that_is_not_there(slurm: SlurmServer) -> None:
    assert "has the partition casa" in slurm_engine().check()
    with pytest.raises(ServiceUnavailable, match="no partition none: set SRDP_SLURM__PARTITION"):
        slurm_engine(partition="none").check()
