"""HTCondor's user logs, as a real pool wrote them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import htcondor2
import pytest

from srdp.domain.files.spool_files import NotTheServicesOwn
from srdp.engines.base import Limit, QueueState
from srdp.engines.condor_log import USER_LOG, read_log

LOGS = Path(__file__).parents[2] / "data" / "condor_event_logs"
NAME = "vla-20261122-182453-4f7k.casa1"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "spool" / "vla-20261122-182453-4f7k" / NAME
    made.mkdir(parents=True)
    return made


def reported(folder, content: bytes):
    (folder / USER_LOG).write_bytes(content)
    return read_log(folder)


def up_to(log: str, code: str) -> bytes:
    """What the log held when an event had just been written for the last time."""
    events = (LOGS / log).read_bytes().split(b"...\n")
    last = max(number for number, event in enumerate(events) if event.startswith(code.encode()))
    return b"...\n".join([*events[: last + 1], b""])


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("a0.log", ""),
        ("d0.log", ""),
        ("exit3.log", ""),
        ("kill9.log", ""),
        ("k_schedd.log", ""),
        ("k_shadow.log", "started a second time, because its shadow was gone"),
        ("k_starter.log", "evicted: Job not found at execution machine"),
        ("k_startd.log", "evicted: Job disconnected too long: JobLeaseDuration (30 seconds) expired"),
        ("hold.log", "removed from the queue: Python-initiated action (by user htc)"),
    ],
)
def test_a_job_that_left_the_queue_has_ended_and_says_what_took_it_off_its_node(folder, log, reason):
    job = reported(folder, (LOGS / log).read_bytes())
    assert (job.name, job.state, job.reason, job.host, job.limit) == (NAME, QueueState.ENDED, reason, None, None)


@pytest.mark.parametrize(
    ("log", "code", "state", "reason"),
    [
        ("a0.log", "000", QueueState.WAITING, ""),
        ("a0.log", "001", QueueState.RUNNING, ""),
        (
            "hold.log",
            "012",
            QueueState.HELD,
            "Failed to execute '/nonexistent': (errno=2: 'No such file or directory')",
        ),
        ("k_schedd.log", "022", QueueState.RUNNING, "Local schedd and job shadow died, schedd now running again"),
        ("k_schedd.log", "023", QueueState.RUNNING, ""),
        ("k_starter.log", "022", QueueState.RUNNING, "Socket between submit and execute hosts closed unexpectedly"),
        ("k_starter.log", "024", QueueState.WAITING, "lost with its node: Job not found at execution machine"),
        ("k_startd.log", "004", QueueState.WAITING, "JobLeaseDuration (30 seconds) expired"),
    ],
)
def test_a_job_is_where_its_last_event_has_put_it(folder, log, code, state, reason):
    job = reported(folder, up_to(log, code))
    assert job.state is state
    assert job.reason.endswith(reason)
    assert (job.reason == "") is (reason == "")
    assert job.host == ("127-0-0-1.loop" if state is QueueState.RUNNING else None)


def test_the_job_is_called_as_the_commands_of_htcondor_call_it(folder):
    assert reported(folder, (LOGS / "hold.log").read_bytes()).native_id == "13.0"


def test_holds_are_counted(folder):
    log = up_to("hold.log", "012")
    (held,) = (event for event in log.split(b"...\n") if event.startswith(b"012"))
    assert [reported(folder, log + held_again).holds for held_again in (b"", held + b"...\n")] == [1, 2]


def test_what_became_of_a_former_submission_is_not_said_of_this_one(folder):
    job = reported(folder, (LOGS / "hold.log").read_bytes() + (LOGS / "kill9.log").read_bytes())
    assert (job.native_id, job.state, job.reason, job.host) == ("12.0", QueueState.ENDED, "", None)


@pytest.mark.parametrize(
    ("reason", "code", "limit"),
    [
        ("more memory than requested: 309 MB of 64 MB", 0, Limit.MEMORY),
        ("longer than its wall time of 36000 s", 0, Limit.WALL_TIME),
        ("Job has gone over cgroup memory limit of 128 megabytes", 34, Limit.MEMORY),
        ("The job exceeded allowed execute duration of 0+00:01:00", 47, Limit.WALL_TIME),
        ("disk trouble (by user condor)", 1, None),
    ],
)
def test_a_hold_for_a_limit_names_the_limit(folder, reason, code, limit):
    held = f"012 (013.000.000) 2026-11-22 17:35:42 Job was held.\n\t{reason}\n\tCode {code} Subcode 0\n...\n"
    assert reported(folder, up_to("hold.log", "001") + held.encode()).limit is limit


def test_an_event_that_is_being_written_is_not_there_yet(folder):
    log = (LOGS / "hold.log").read_bytes()
    assert reported(folder, log[: log.index(b"Job was aborted") + 10]).state is QueueState.HELD


def test_a_log_of_ten_days_is_read_without_its_ten_thousand_sizes_of_the_job(folder):
    size = (
        b"006 (000.000.000) 2026-11-22 19:00:00 Image size of job updated: 123456\n"
        b"\t3  -  MemoryUsage of job (MB)\n\t2000  -  ResidentSetSize of job (KB)\n...\n"
    )
    content = up_to("k_schedd.log", "001") + size * 14_400
    began = time.process_time()
    assert reported(folder, content).state is QueueState.RUNNING
    used = time.process_time() - began
    began = time.process_time()
    with htcondor2.JobEventLog(str(folder / USER_LOG)) as log:
        assert len(list(log.events(stop_after=0))) > 14_400
    assert used < (time.process_time() - began) / 4


def test_nuls_in_the_middle_hide_nothing_of_what_comes_later(folder):
    events = (LOGS / "hold.log").read_bytes().split(b"...\n")
    job = reported(folder, b"...\n".join([events[0], b"\0" * 300 + b"\n", *events[1:]]))
    assert job.state is QueueState.ENDED


def test_an_event_that_is_damaged_inside_ends_what_counts_and_raises_nothing(folder):
    log = (LOGS / "a0.log").read_bytes()
    damaged = log.index(b"(1) Normal termination")
    assert reported(folder, log[:damaged] + b"\0" * 300 + log[damaged + 300 :]).state is QueueState.RUNNING


def test_an_event_of_a_later_htcondor_changes_nothing(folder):
    unknown = b"999 (013.000.000) 2026-11-22 17:36:00 Job was teleported.\n...\n"
    assert reported(folder, up_to("hold.log", "012") + unknown).state is QueueState.HELD


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, bytes(range(256)) * 40, b"000 (", b"{}\n...\n"])
def test_what_is_no_log_reports_nothing(folder, content):
    assert reported(folder, content) is None


def test_no_log_reports_nothing(folder):
    assert read_log(folder) is None


def test_a_log_that_others_can_write_is_not_believed(folder):
    shutil.copy(LOGS / "a0.log", folder / USER_LOG)
    (folder / USER_LOG).chmod(0o666)
    with pytest.raises(NotTheServicesOwn):
        read_log(folder)


def test_a_link_in_the_place_of_a_log_is_not_followed(folder):
    (folder / USER_LOG).symlink_to(LOGS / "a0.log")
    with pytest.raises(NotTheServicesOwn):
        read_log(folder)


def test_a_log_too_large_to_be_one_is_left_alone(folder):
    shutil.copy(LOGS / "a0.log", folder / USER_LOG)
    os.truncate(folder / USER_LOG, 33 << 20)
    assert read_log(folder) is None
