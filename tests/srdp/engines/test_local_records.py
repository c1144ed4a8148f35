"""What the local engine reads from a job's records, without starting one."""

from __future__ import annotations

import errno
import itertools
import json
import os
from pathlib import Path

import pytest

from srdp.domain.common.errors import IntegrityError, InvalidInput, SettingsError
from srdp.domain.files.storage import StorageUnavailable
from srdp.engines import Job, JobState, local, local_records
from srdp.engines.local import LocalEngine
from srdp.hooks.engines import engine

NAME = "vla-20261122-182453-4f7k.casa1"


@pytest.mark.parametrize("moments", list(itertools.combinations_with_replacement(range(5), 4)))
def test_no_change_between_two_glances_of_one_look_makes_a_job_seem_lost(tmp_path, monkeypatch, moments):
    """The wrapper's whole life may pass between the reads of a look; each read sees the world of its moment."""
    files = [set(), {"locked"}, {"locked", "started.json"}, {"locked", "started.json", "ended.json"},
             {"started.json", "ended.json"}]  # fmt: skip
    world = iter(moments)
    monkeypatch.setattr(local, "is_locked", lambda _path: "locked" in files[next(world)])
    monkeypatch.setattr(local, "read_record", lambda path: {} if path.name in files[next(world)] else None)
    assert LocalEngine().status(NAME, tmp_path).state is not JobState.LOST


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"boot_id": "the one before"}, f"{os.uname().nodename} was restarted while it ran"),
        ({"boot_id": "its own", "host": "other.host"}, "started on other.host, which is another machine"),
        ({"pid_namespace": "pid:[1] 2", "host": "worker"}, "its container worker was stopped or restarted"),
        ({}, "the process that watched over it"),
    ],
)
def test_a_restarted_or_foreign_machine_or_container_shows_as_a_lost_job(tmp_path, changed, cause):
    (tmp_path / NAME).mkdir()
    record = {**local_records.this_place(), "wrapper_pid": 1, "started_at": "2026-11-22T18:24:53+00:00", **changed}
    (tmp_path / NAME / local_records.STARTED).write_text(json.dumps(record))
    status = LocalEngine().status(NAME, tmp_path)
    assert status.state is JobState.LOST
    assert cause in status.cause


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "a\nb", "a\0b", "x" * 300, "a..b", "é"])
def test_a_name_that_would_leave_the_spool_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="not the name of a job"):
        LocalEngine().status(name, tmp_path)


def test_engines_are_known_by_name():
    assert isinstance(engine("local"), LocalEngine)
    with pytest.raises(SettingsError, match="SRDP_ENGINE"):
        engine("pbs")


END = {"host": "node1", "exit_code": 0, "ended_at": "2026-11-29T13:00:00+00:00"}


def failing(monkeypatch, name, error, times):
    """Lets a call of the system fail so often; returns how often it was made."""
    real, calls = getattr(os, name), []

    def call(*args, **kwargs):
        calls.append(args)
        if len(calls) <= times:
            raise OSError(error, os.strerror(error))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, call)
    return calls


@pytest.mark.parametrize("refused", ["open", "pwrite", "fsync", "replace"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS])
def test_the_end_of_days_of_work_is_recorded_although_the_spool_refuses_for_hours(
    tmp_path, monkeypatch, refused, error
):
    local_records.reserve(tmp_path)
    waits = []
    calls = failing(monkeypatch, refused, error, 200)
    local_records.record_end(tmp_path, END, pause=waits.append, clock=lambda: sum(waits))
    assert len(calls) > 200
    assert 3 * 3600 < sum(waits) < 4 * 3600
    assert max(waits) == 60
    assert local_records.read_record(tmp_path / local_records.ENDED) == END
    assert [path.name for path in tmp_path.iterdir()] == [local_records.ENDED]


def test_the_record_of_the_end_needs_no_space_that_was_not_taken_before_the_start(tmp_path, monkeypatch):
    local_records.reserve(tmp_path)
    taken = (tmp_path / local_records.RESERVED).stat()
    monkeypatch.setattr(local_records, "_write_temporary", None)
    local_records.record_end(tmp_path, END)
    written = (tmp_path / local_records.ENDED).stat()
    assert (written.st_ino, written.st_size, written.st_blocks) == (taken.st_ino, taken.st_size, taken.st_blocks)


def test_the_end_is_recorded_where_somebody_has_removed_what_was_reserved(tmp_path):
    local_records.record_end(tmp_path, END)
    assert local_records.read_record(tmp_path / local_records.ENDED) == END


def test_a_spool_that_never_comes_back_is_given_up_after_days(tmp_path, monkeypatch):
    local_records.reserve(tmp_path)
    waits = []
    failing(monkeypatch, "pwrite", errno.EIO, 10**6)
    with pytest.raises(OSError, match="Input/output"):
        local_records.record_end(tmp_path, END, pause=waits.append, clock=lambda: sum(waits))
    assert 71 * 3600 < sum(waits) <= 72 * 3600


# --- whose the records are -----------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path):
    """The folder of a job that has ended, with everything that a look reads, in a spool area of the service's own."""
    records = tmp_path / "spool" / "vla-20261122-182453-4f7k" / NAME
    records.mkdir(parents=True)
    (records / local_records.LOCK).touch(mode=0o600)
    local_records.write_once(records / local_records.STARTED, {**END, "wrapper_pid": 1})
    local_records.write_once(records / local_records.ENDED, END)
    local_records.write_once(records / local_records.CANCEL, {"cause": "it was asked for"})
    for folder in (records, records.parent, records.parents[1]):
        folder.chmod(0o700)
    return records


def look(records):
    return LocalEngine().status(NAME, records.parent)


def by_group(place):
    place.chmod(0o770 if place.is_dir() else 0o660)


def linked(place):
    place.rename(place.with_name("elsewhere"))
    place.symlink_to(place.with_name("elsewhere"))


def a_named_pipe(place):
    place.unlink()
    os.mkfifo(place, mode=0o600)


@pytest.mark.parametrize("name", [local_records.STARTED, local_records.ENDED, local_records.CANCEL, local_records.LOCK])
@pytest.mark.parametrize(
    ("damaged", "why"),
    [(by_group, r"others \(mode 0660\)"), (linked, "no regular file"), (a_named_pipe, "no regular file")],
)
def test_a_record_that_is_not_the_services_own_is_refused_and_not_believed(records, name, damaged, why):
    assert look(records).state is JobState.ENDED
    damaged(records / name)
    with pytest.raises(StorageUnavailable, match=rf"{name}' .*{why}.*remove it, or give it back with chown"):
        look(records)


@pytest.mark.parametrize("above", [0, 1, 2], ids=["the job's folder", "the run's folder", "the spool area"])
def test_a_folder_of_the_spool_that_others_can_write_is_refused(records, above):
    folder = (records, *records.parents)[above]
    by_group(folder)
    with pytest.raises(StorageUnavailable, match=rf"{folder.name}' can be written by others \(mode 0770\)"):
        look(records)


@pytest.mark.parametrize("above", [0, 1], ids=["the job's folder", "the run's folder"])
def test_a_folder_of_the_spool_that_is_a_link_is_refused(records, above):
    linked((records, *records.parents)[above])
    with pytest.raises(StorageUnavailable, match="is a symbolic link, or no folder"):
        look(records)


def test_what_belongs_to_another_account_is_refused_and_its_owner_named(records, monkeypatch):
    owner = records.owner()
    monkeypatch.setattr(os, "geteuid", lambda: records.stat().st_uid + 4321)
    with pytest.raises(StorageUnavailable, match=rf"spool' belongs to {owner}, but .* to account \d+"):
        look(records)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another account")
@pytest.mark.parametrize("name", [local_records.STARTED, local_records.ENDED, local_records.CANCEL, local_records.LOCK])
def test_a_record_that_another_account_has_written_is_refused(records, name):
    os.chown(records / name, 4321, 4321)
    with pytest.raises(StorageUnavailable, match=rf"{name}' belongs to account 4321"):
        look(records)


def test_new_folders_and_records_cannot_be_written_by_others_whatever_the_umask(tmp_path, monkeypatch):
    monkeypatch.setattr(LocalEngine, "_start_wrapper", lambda *_: None)
    spool = tmp_path / "spool" / "vla-20261122-182453-4f7k"
    spool.parent.mkdir(mode=0o700)
    before = os.umask(0)
    try:
        LocalEngine().submit(asked(spool))
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in (spool, spool / NAME, spool / NAME / local_records.JOB)] == [
        "0o711", "0o700", "0o600",
    ]  # fmt: skip
    assert look(spool / NAME).state is JobState.ABSENT


# --- which job it is -----------------------------------------------------------------------------------------------


def asked(spool, **changes):
    return Job(
        **{
            "name": NAME, "command": ("/opt/casa/bin/casa", "-c", "runvlapipeline.py", "PPR.xml"),
            "working_directory": Path("/area/run/working"), "environment": {"SCIPIPE_HEURISTICS": "/opt/pipeline"},
            "spool": spool, "cores": 8, "memory_gb": 248, "account": None,
        } | changes
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"command": ("/home/jdoe/casa", "-c", "runvlapipeline.py", "PPR.xml")},
        {"working_directory": Path("/area/another/working")},
        {"environment": {"SCIPIPE_HEURISTICS": "/home/jdoe/pipeline"}},
        {"environment": {"SCIPIPE_HEURISTICS": "/opt/pipeline", "LD_PRELOAD": "/home/jdoe/evil.so"}},
        {"cores": 1},
        {"memory_gb": 1},
        {"account": "jdoe"},
    ],
)
def test_a_job_in_the_spool_that_is_not_the_one_that_is_asked_for_is_refused(tmp_path, monkeypatch, change):
    started = []
    monkeypatch.setattr(LocalEngine, "_start_wrapper", lambda *_: started.append(1))
    spool = tmp_path / "vla-20261122-182453-4f7k"
    LocalEngine().submit(asked(spool, **change))
    assert LocalEngine().submitted(NAME, spool) == asked(spool, **change)
    with pytest.raises(IntegrityError, match=rf"is not the one that was asked for \({next(iter(change))}; its"):
        LocalEngine().submit(asked(spool))
    LocalEngine().submit(asked(spool, **change))
    assert len(started) == 2
