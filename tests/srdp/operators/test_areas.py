"""Every step looks whether the areas are there before it does anything, unless it needs none."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.areas import prepare

import srdp.operators
import srdp.settings
from srdp.domain.runs.areas import MARKER
from srdp.operators.base import PipelineRunOperator, SrdpOperator
from srdp.operators.retrying import TryAgain

#: The steps that neither read an area nor conclude anything from one: mails, reports, decisions in the ledger.
NEED_NONE = {
    "AskWhoReviewsOperator", "AssignQaOperator", "CheckSettingsOperator", "DecideObservationsOperator",
    "FailQaOperator", "MarkDoNotCalibrateOperator", "ReconcileRunsOperator",
    "ReindexProjectsOperator", "ReportUnmarkedOperator", "SendQueuedMailsOperator", "StartAssignmentOperator",
    "StartCalibrationsOperator", "ReconcileAssignmentsOperator", "WithdrawVerdictOperator",
}  # fmt: skip


@pytest.fixture(autouse=True)
def used(settings, monkeypatch):
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)
    return settings


def all_steps(base=SrdpOperator):
    for module in pkgutil.iter_modules(srdp.operators.__path__, f"{srdp.operators.__name__}."):
        importlib.import_module(module.name)
    found = set()
    for each in base.__subclasses__():
        found |= {each} | all_steps(each)
    return {step for step in found if step.__module__.startswith("srdp.")}


class Step(SrdpOperator):
    def run_step(self, context):  # noqa: ARG002
        return "done"

    def execute_complete(self, context, event):  # noqa: ARG002
        return event


class StepOfARun(PipelineRunOperator):
    def run_step(self, context):  # noqa: ARG002
        return "done"


def test_every_step_looks_for_the_areas_but_those_that_are_named_here():
    steps = all_steps()
    assert {step.__name__ for step in steps if not step.needs_areas} == NEED_NONE
    # None goes round it.
    assert [step for step in steps if "execute" in vars(step) or "resume_execution" in vars(step)] == []


@pytest.mark.parametrize("area", ["processing_area", "qa_area", "spool_area"])
@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another folder"])
def test_a_step_waits_for_an_area_that_is_away_and_does_nothing(used, area, left):
    place = getattr(used, area)
    shutil.rmtree(place)
    if left != "nothing":
        place.mkdir()
    if left == "another folder":
        (place / "notes").touch()
    for begin in (
        lambda: Step(task_id="step").execute({}),
        lambda: Step(task_id="step").resume_execution("execute_complete", {"event": {}}, {}),
    ):
        with pytest.raises(TryAgain, match=rf"{place} \(SRDP_{area.upper()}\) (is not there|is empty|does not hold)"):
            begin()
    assert place.exists() is (left != "nothing")
    shutil.rmtree(place, ignore_errors=True)
    prepare(used)
    assert Step(task_id="step").execute({}) == "done"


def test_a_step_that_needs_none_goes_on(used):
    shutil.rmtree(used.processing_area)

    class Mail(Step):
        needs_areas = False

    assert Mail(task_id="step").execute({}) == "done"


def test_a_step_of_a_run_looks_for_the_areas_of_its_family_alone(used, monkeypatch, tmp_path):
    with_alma = used.model_copy(update={"alma_qa_area": tmp_path / "alma_qa"})
    prepare(with_alma)
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: with_alma)
    (tmp_path / "alma_qa" / MARKER).unlink()
    assert StepOfARun(task_id="step", pipeline_run_id="vla-20261122-182453-4f7k").execute({}) == "done"
    for step in (StepOfARun(task_id="step", pipeline_run_id="alma-20261122-182453-4f7k"), Step(task_id="step")):
        with pytest.raises(TryAgain, match="SRDP_ALMA_QA_AREA"):
            step.execute({})


def test_areas_inside_each_other_stop_every_step(used, monkeypatch):
    nested = used.model_copy(update={"alma_qa_area": used.qa_area / "alma"})
    prepare(used)
    (used.qa_area / "alma").mkdir()
    shutil.copy(used.qa_area / MARKER, used.qa_area / "alma" / MARKER)
    marker = used.qa_area / "alma" / MARKER
    marker.write_text(marker.read_text().replace("SRDP_QA_AREA", "SRDP_ALMA_QA_AREA"))
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: nested)
    with pytest.raises(AirflowFailException, match=r"is in .* \(SRDP_QA_AREA\)"):
        Step(task_id="step").execute({})


def test_nothing_makes_the_folders_around_what_it_makes():
    sources = Path(srdp.__file__).parent.rglob("*.py")
    makers = [path.name for path in sources if "parents=True" in (text := path.read_text()) or "makedirs" in text]
    assert makers == [], "an area that is away would be made"
