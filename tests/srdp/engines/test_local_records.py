"""What the local engine reads from a job's records, without starting one."""

from __future__ import annotations

import errno
import itertools
import json
import os
from pathlib import Path

import pytest

from srdp.domain.errors import InvalidInput, SettingsError
from srdp.engines import JobState, engine, local, local_job
from srdp.engines.local import LocalEngine

NAME = "vla-20261122-182453-4f7k.casa1"


@pytest.mark.parametrize("moments", list(itertools.combinations_with_replacement(range(5), 4)))
def test_no_change_between_two_glances_of_one_look_makes_a_job_seem_lost(tmp_path, monkeypatch, moments):
    """The wrapper's whole life may pass between the reads of a look; each read sees the world of its moment."""
    files = [set(), {"locked"}, {"locked", "started.json"}, {"locked", "started.json", "ended.json"},
             {"started.json", "ended.json"}]  # fmt: skip
    world = iter(moments)
    monkeypatch.setattr(local, "_locked", lambda _path: "locked" in files[next(world)])
    monkeypatch.setattr(local, "read_record", lambda path: {} if path.name in files[next(world)] else None)
    assert LocalEngine().look(NAME, tmp_path).state is not JobState.LOST


@pytest.mark.parametrize(
    ("changed", "cause"),
    [({"boot_id": "the one before"}, "was restarted while it ran"), ({"host": "other.host"}, "other.host")],
)
def test_a_restarted_or_foreign_machine_shows_as_a_lost_job(tmp_path, changed, cause):
    (tmp_path / NAME).mkdir()
    record = {**local_job.host_and_boot(), "wrapper_pid": 1, "started_at": "2026-11-22T18:24:53+00:00", **changed}
    (tmp_path / NAME / local_job.STARTED).write_text(json.dumps(record))
    status = LocalEngine().look(NAME, tmp_path)
    assert status.state is JobState.LOST
    assert cause in status.cause


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "a\nb", "a\0b", "x" * 300, "a..b", "é"])
def test_a_name_that_would_leave_the_spool_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="not the name of a job"):
        LocalEngine().look(name, tmp_path)


def test_engines_are_known_by_name():
    assert isinstance(engine("local"), LocalEngine)
    with pytest.raises(SettingsError, match="SRDP_ENGINE"):
        engine("slurm")


END = {"host": "node1", "exit_code": 0, "ended_at": "2026-11-29T13:00:00+00:00"}


def failing(monkeypatch, name, error, times):
    """Lets a call of the system fail so often; returns how often it was made."""
    owner = Path if name == "replace" else os
    real, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(args)
        if len(calls) <= times:
            raise OSError(error, os.strerror(error))
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    return calls


@pytest.mark.parametrize("refused", ["open", "pwrite", "fsync", "replace"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS])
def test_the_end_of_days_of_work_is_recorded_although_the_spool_refuses_for_hours(
    tmp_path, monkeypatch, refused, error
):
    local_job._reserve(tmp_path)
    waits = []
    calls = failing(monkeypatch, refused, error, 200)
    local_job.record_end(tmp_path, END, pause=waits.append, clock=lambda: sum(waits))
    assert len(calls) > 200
    assert 3 * 3600 < sum(waits) < 4 * 3600
    assert max(waits) == 60
    assert local_job.read_record(tmp_path / local_job.ENDED) == END
    assert [path.name for path in tmp_path.iterdir()] == [local_job.ENDED]


def test_the_record_of_the_end_needs_no_space_that_was_not_taken_before_the_start(tmp_path, monkeypatch):
    local_job._reserve(tmp_path)
    taken = (tmp_path / local_job.RESERVED).stat()
    monkeypatch.setattr(local_job, "_write_temporary", None)
    local_job.record_end(tmp_path, END)
    written = (tmp_path / local_job.ENDED).stat()
    assert (written.st_ino, written.st_size, written.st_blocks) == (taken.st_ino, taken.st_size, taken.st_blocks)


def test_the_end_is_recorded_where_somebody_has_removed_what_was_reserved(tmp_path):
    local_job.record_end(tmp_path, END)
    assert local_job.read_record(tmp_path / local_job.ENDED) == END


def test_a_spool_that_never_comes_back_is_given_up_after_days(tmp_path, monkeypatch):
    local_job._reserve(tmp_path)
    waits = []
    failing(monkeypatch, "pwrite", errno.EIO, 10**6)
    with pytest.raises(OSError, match="Input/output"):
        local_job.record_end(tmp_path, END, pause=waits.append, clock=lambda: sum(waits))
    assert 71 * 3600 < sum(waits) <= 72 * 3600
