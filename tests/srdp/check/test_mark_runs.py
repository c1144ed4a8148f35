from __future__ import annotations

import hashlib

import pytest

from srdp.check import mark_runs as mark_runs_module
from srdp.check.mark_runs import main, mark_runs
from srdp.domain.files.storage import AccessDenied, StorageUnavailable
from srdp.domain.runs.areas import MARKER as AREA_MARKER
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import MARKER, make_marked
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger import Ledger

pytestmark = pytest.mark.servers
PPR = b"<SciPipeRequest/>"


@pytest.fixture
def runs(ledger, open_run):
    """Three runs: one that CASA was started for, one that failed before that, and one that is cleaned up."""
    found = {name: open_run() for name in ("calibrated", "cancelled", "cleaned")}
    ledger.runs.record_ppr(found["calibrated"].pipeline_run_id, hashlib.sha256(PPR).hexdigest())
    for name in ("cancelled", "cleaned"):
        ledger.runs.transition(found[name].pipeline_run_id, RunState.CANCELLED, event="cancelled")
    for state in (RunState.CLEANING, RunState.CLEANED):
        ledger.runs.transition(found["cleaned"].pipeline_run_id, state, event="of a test")
    return {name: ledger.runs.get(run.pipeline_run_id) for name, run in found.items()}


def former_directory(root, ppr=None):
    """A directory as an earlier release made it."""
    directory = RunDirectory(root)
    directory.working.mkdir(parents=True)
    (directory.working / "casa.log").touch()
    if ppr is not None:
        directory.processing_request.write_bytes(ppr)
    return root


def test_proved_directories_are_marked_and_others_named(settings, runs, ledger_url):
    ledger, areas = Ledger(settings), settings.areas
    calibrated, cancelled, cleaned = (runs[name].pipeline_run_id for name in ("calibrated", "cancelled", "cleaned"))
    own = [
        former_directory(areas.qa / calibrated, PPR),
        former_directory(areas.processing / f".{calibrated}.moved"),
        former_directory(areas.processing / cancelled),
        former_directory(areas.spool / calibrated),
    ]
    not_own = [
        former_directory(areas.processing / calibrated, b"<Another/>"),
        former_directory(areas.qa / cancelled, PPR),
    ]
    former_directory(areas.qa / cleaned, PPR)
    make_marked(areas.spool / cancelled, runs["cancelled"].marker)
    reported = list(mark_runs(settings, ledger))
    assert sum(is_marked for is_marked, _ in reported) == len(own)
    assert all((place / MARKER).exists() for place in own)
    assert not any((place / MARKER).exists() for place in (*not_own, areas.qa / cleaned))
    left = [sentence for is_marked, sentence in reported if not is_marked]
    assert len(left) == len(not_own)
    assert all(any(str(place) in sentence for sentence in left) for place in not_own)
    assert [sentence for is_marked, sentence in mark_runs(settings, ledger) if is_marked] == []


def test_unreadable_directory_holds_up_no_other(settings, runs, monkeypatch):
    ledger, look = Ledger(settings), mark_runs_module.holds_ppr_of
    first, second = (settings.qa_area / runs[name].pipeline_run_id for name in ("calibrated", "cancelled"))
    former_directory(first, PPR)
    former_directory(second)

    def refused(place, run):
        if place == first:
            raise AccessDenied("PPR.xml could not be read: Permission denied.")
        return look(place, run)

    monkeypatch.setattr(mark_runs_module, "holds_ppr_of", refused)
    reported = dict(mark_runs(settings, ledger))
    assert reported[True].startswith(f"'{second}' is marked")
    assert reported[False] == f"'{first}' is not marked: PPR.xml could not be read: Permission denied."


def test_areas_that_are_not_mounted_are_not_taken_for_marked(settings, runs):
    (settings.qa_area / AREA_MARKER).unlink()
    with pytest.raises(StorageUnavailable, match=r"SRDP_QA_AREA"):
        list(mark_runs(settings, Ledger(settings)))


def test_the_command_says_what_it_did(settings, runs, monkeypatch, capsys):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    place = former_directory(settings.qa_area / runs["calibrated"].pipeline_run_id, PPR)
    assert (main(), main()) == (0, 0)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"OK    '{place}' is marked as the directory of {runs['calibrated'].pipeline_run_id}."
    assert said[1:] == ["Every directory of a run is marked."] * 2
    place.rename(settings.processing_area / runs["cancelled"].pipeline_run_id)
    assert main() == 1
