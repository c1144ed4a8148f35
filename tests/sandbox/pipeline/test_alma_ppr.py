"""ALMA's PPR is read as the real reader reads it, traps included."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sandbox.pipeline.alma import ASDM, ASDM_UID, IMAGING_RECIPE, MOUS, MOUS_UID, alma_request
from tests.sandbox.pipeline.running import HEURISTICS

from sandbox.alma_observation import facts
from sandbox.pipeline import executor
from sandbox.pipeline.ppr import ProcessingRequest, UndecodableRequestError, on_disk, read_alma_request
from sandbox.pipeline.script import pipeline_script
from sandbox.pipeline.stages import ALMA_STAGES

_OTHERS = {f"uid://A002/Xd5a7c2/X{number}": f"uid___A002_Xd5a7c2_X{number}" for number in (1, 2, 3)}


def read(tmp_path: Path, text: str) -> ProcessingRequest:
    path = tmp_path / "PPR.xml"
    path.write_text(text)
    return read_alma_request(path)


def test_imaging_recipe(tmp_path: Path):
    request = read(tmp_path, alma_request(IMAGING_RECIPE, relative_path="some/run"))
    assert (request.ous, on_disk(request.ous)) == (MOUS_UID, MOUS)
    assert request.sdms == (ASDM,)
    assert (request.proposal_code, request.procedure) == (facts.PROJECT, "hifa_cubeimage")
    assert request.relative_path == "some/run"
    assert [command.task for command in request.commands] == [task for task, _ in IMAGING_RECIPE]
    assert set(ALMA_STAGES) >= {command.task for command in request.commands}
    assert request.commands[0].parameters == {"copytoraw": False}
    assert request.commands[8].parameters["spw"] == 0


def test_all_asdms_are_taken_with_their_sessions(tmp_path: Path):
    one, two, three = _OTHERS
    sessions = {"SESSION_1": f"{one} | {three}", "SESSION_2": two}
    request = read(tmp_path, alma_request(IMAGING_RECIPE, asdms=_OTHERS, sessions=sessions))
    assert request.sdms == tuple(_OTHERS.values())
    assert list(request.sessions.values()) == ["session_1", "session_2", "session_1"]


def test_gap_in_the_sessions_drops_the_later_ones(tmp_path: Path):
    sessions = {"SESSION_1": next(iter(_OTHERS)), "SESSION_3": list(_OTHERS)[1]}
    request = read(tmp_path, alma_request(IMAGING_RECIPE, asdms=_OTHERS, sessions=sessions))
    assert set(request.sessions.values()) == {"session_1"}


@pytest.mark.parametrize("gone", ["uid://A002/Xd5a7c2/X2<", "uid___A002_Xd5a7c2_X2<"], ids=["UID", "name"])
def test_asdm_without_name_or_uid_drops_all_later_ones(tmp_path: Path, gone: str):
    text = alma_request(IMAGING_RECIPE, asdms=_OTHERS)
    assert gone in text
    assert read(tmp_path, text.replace(gone, "<")).sdms == ("uid___A002_Xd5a7c2_X1",)


def test_no_asdm_is_undecodable(tmp_path: Path):
    with pytest.raises(UndecodableRequestError, match="Empty ASDM list"):
        read(tmp_path, alma_request(IMAGING_RECIPE, asdms={}))


@pytest.mark.parametrize("value", ["7", "true"])
def test_a_session_that_is_read_as_a_number_is_not_caught(tmp_path: Path, value: str):
    with pytest.raises(TypeError):
        read(tmp_path, alma_request(IMAGING_RECIPE, sessions={"SESSION_1": value}))


def test_broken_command_drops_itself_and_every_later_one(tmp_path: Path):
    good = "<Command>hif_mstransform</Command><ParameterSet></ParameterSet>"
    text = alma_request(IMAGING_RECIPE)
    assert good in text
    request = read(tmp_path, text.replace(good, "<Command>hif_mstransform</Command>"))
    assert [command.task for command in request.commands] == ["hifa_restoredata"]


def test_structure_may_are_deeper_as_in_older_requests(tmp_path: Path):
    text = alma_request(IMAGING_RECIPE)
    deeper = text.replace("<ProjectStructure>", "<ProjectStructure><AlmaStructure>").replace(
        "</ProjectStructure>", "</AlmaStructure></ProjectStructure>"
    )
    assert read(tmp_path, deeper).ous == MOUS_UID


_STRUCTURE = {
    "no MOUS": ("OUSStatusRef", "Other"),
    "no unit set": ("ObsUnitSetRef", "Other"),
    "no title": ("<ObsUnitSetTitle>Member</ObsUnitSetTitle>", ""),
    "empty title": ("<ObsUnitSetTitle>Member<", "<ObsUnitSetTitle><"),
    "no type": ("<ObsUnitSetType>Member</ObsUnitSetType>", ""),
    "no status": ("ProjectStatusRef", "Other"),
    "no structure": ("ProjectStructure", "Other"),
    "no project": (facts.PROJECT, ""),
    "no block": ("SchedBlockIdentifier", "Other"),
    "two blocks": ("<SchedBlockIdentifier>", "<SchedBlockIdentifier/><SchedBlockIdentifier>"),
    "no path": ("RelativePath", "Other"),
    "no intents": ("ProcessingIntents", "Other"),
}


@pytest.mark.parametrize(("old", "new"), _STRUCTURE.values(), ids=_STRUCTURE)
def test_undecodable(tmp_path: Path, old: str, new: str):
    text = alma_request(IMAGING_RECIPE)
    assert old in text
    with pytest.raises(UndecodableRequestError):
        read(tmp_path, text.replace(old, new))


def test_script_of_the_run_names_mous_and_all_asdms(tmp_path: Path):
    script = pipeline_script(read(tmp_path, alma_request(IMAGING_RECIPE, asdms={ASDM_UID: ASDM, **_OTHERS})))
    compile(script, "casa_pipescript.py", "exec")
    assert f"ous={MOUS_UID!r}," in script
    assert repr([ASDM, *_OTHERS.values()]) in script


def test_script_of_the_run_keeps_the_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, two, three = _OTHERS
    sessions = {"SESSION_1": f"{one} | {three}", "SESSION_2": two}
    request = read(tmp_path, alma_request(IMAGING_RECIPE, asdms=_OTHERS, sessions=sessions))
    ran: list[ProcessingRequest] = []
    monkeypatch.setenv("SCIPIPE_HEURISTICS", str(HEURISTICS))
    monkeypatch.setattr(executor, "_run", lambda request, *_: ran.append(request))
    exec(compile(pipeline_script(request), "casa_pipescript.py", "exec"), {})  # noqa: S102  what the pipeline wrote
    assert [(again.sdms, again.ous, again.sessions) for again in ran] == [(request.sdms, MOUS_UID, request.sessions)]
