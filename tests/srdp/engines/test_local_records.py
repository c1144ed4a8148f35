"""What the local engine reads from a job's records, without starting one."""

from __future__ import annotations

import itertools
import json

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
