"""Opening an imaging run: what a user asks is checked before anything is made."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.areas import entries, prepare
from tests.replacing import replace_everywhere

import srdp.hooks.archive
import srdp.settings
from srdp.domain.archiving.mous import mous
from srdp.domain.common.errors import InvalidInput
from srdp.domain.runs.ledger_records import warned_at_opening
from srdp.domain.runs.pipeline_run import processing_directory
from srdp.domain.runs.states import RunState
from srdp.domain.site.engine_names import EngineName
from srdp.families import ALMA, VLA
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.engines import engine_of_run
from srdp.operators.open_imaging_run import OpenImagingRunOperator
from srdp.operators.retrying import TryAgain
from srdp.services.context import RunContext, SiteContext
from srdp.services.opening.open_run import choose_engine
from srdp.services.processing.imaged_mous import mous_of_run

pytestmark = pytest.mark.servers

UID = "uid://A001/X1288/X3f"
ASDM = ("uid://A002/X85c183/X36f", "uid___A002_X85c183_X36f", "uid://A002/X85c183/X36f")
CALIBRATION = "uid://alma/calibration/00000000-0000-0000-0000-000000000001"
MOUS = mous(
    uid=UID, project="2019.1.00001.S", asdms=[ASDM], calibration=CALIBRATION, frequency_ghz=231.5, resolution_arcsec=0.9
)
CUBE = "TW_Hya, 25, 230.538, -12km/s, 3km/s, 17"


@pytest.fixture
def site(settings, tmp_path, monkeypatch):
    """Setting with areas of ALMA's own and both families' pipelines."""
    for family in (VLA, ALMA):
        runner = settings.scipipe_heuristics / "pipeline" / family.runner
        runner.parent.mkdir(parents=True, exist_ok=True)
        runner.touch()
    areas = {f"alma_{name}_area": tmp_path / f"alma_{name}" for name in ("processing", "qa")}
    made = settings.model_copy(update=areas)
    prepare(made)
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: made)
    return made


@pytest.fixture
def archive(site, monkeypatch):
    hook = mock.create_autospec(ArchiveHook, instance=True)
    hook.mous.return_value = MOUS
    replace_everywhere(monkeypatch, "srdp.hooks.archive:ArchiveHook", lambda _settings: hook)
    return hook


def context(dag_run_id="manual__1"):
    return {
        "dag_run": SimpleNamespace(
            dag_id="alma_imaging", run_id=dag_run_id, triggering_user_name="astronomer", run_type="manual"
        )
    }


def opened(dag_run_id="manual__1", form_faults=(), **changes):
    """What the form's fields are rendered to, with some of them changed."""
    asked = {
        "mous": UID,
        "fields": "TW_Hya\nV_BP_Tau",
        "continuum": "True",
        "cubes": CUBE,
        "angular_resolution_arcsec": "None",
        "self_calibration": "False",
        "user": "None",
        "user_email": "None",
        "recipe": "alma_imaging",
        "cores": "None",
        "memory_gb": "64",
    }
    operator = OpenImagingRunOperator(task_id="open_run", **(asked | changes))
    for fault in form_faults:
        operator.faults.add(fault)
    return operator.execute(context(dag_run_id))


def test_a_dag_run_opens_one_run_however_often_the_task_is_repeated(archive, ledger, site):
    first = opened()
    assert opened() == first
    run = ledger.runs.get(first)
    assert (run.kind, run.subject, run.project, run.locator) == ("alma_imaging", UID, "2019.1.00001.S", UID)
    assert (run.state, run.recipe, run.requested_by) == (RunState.CREATED, "alma_imaging", "astronomer")
    assert (run.cores, run.memory_gb) == (site.default_cores, 64)
    assert [path.name for path in entries(site.alma_processing_area)] == [first]
    assert entries(site.processing_area) == []
    assert first.startswith("alma-")


def test_what_was_asked_is_in_the_ledger(archive, ledger):
    run = ledger.runs.get(opened(user="Ada", user_email="ada@example.org", angular_resolution_arcsec="1.5"))
    assert run.asked == {
        "mous": UID,
        "fields": ["TW_Hya", "V_BP_Tau"],
        "continuum": True,
        "cubes": [
            {
                "field": "TW_Hya",
                "spw": 25,
                "rest_frequency_ghz": 230.538,
                "start": "-12km/s",
                "width": "3km/s",
                "channels": 17,
            }
        ],
        "angular_resolution_arcsec": 1.5,
        "self_calibration": False,
        "asked_by": "Ada",
        "asked_by_email": "ada@example.org",
        "requested_by": "astronomer",
    }
    assert len(run.request_digest) == 64


def test_a_cube_that_the_pipeline_will_make_otherwise_is_recorded_with_the_run(archive, ledger, site, monkeypatch):
    smaller = site.model_copy(update={"alma_max_cube_gb": 1e-6})
    assert warned_at_opening(ledger.events.of_run(opened())) == []
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: smaller)
    [*warnings] = warned_at_opening(ledger.events.of_run(opened("manual__2", angular_resolution_arcsec="1.5")))
    assert [warning.partition(" GB; above ")[2][:5] for warning in warnings] == ["1e-06"] * 3
    assert any("coarser, narrower or with fewer channels than was asked" in warning for warning in warnings)


def test_what_is_wrong_with_the_form_is_reported_together_and_starts_nothing(archive, ledger):
    faults = ["'field' is not a field of alma_imaging."]
    for changes, reported in (({"recipe": "no_such"}, "There is no recipe"), ({"fields": "None"}, "No field is named")):
        with pytest.raises(AirflowFailException, match=f"'field' is not a field of alma_imaging.\n{reported}"):
            opened(form_faults=faults, **changes)
    with pytest.raises(AirflowFailException, match="'field' is not a field"):
        opened(form_faults=faults)
    assert ledger.runs.newest() == []


def test_who_triggers_it_asks_unless_somebody_else_is_named(archive, ledger):
    assert ledger.runs.get(opened()).asked["asked_by"] == "astronomer"


def test_what_the_archive_said_of_the_mous_is_read_once(archive, ledger, site):
    run = ledger.runs.get(opened())
    archive.mous.return_value = None
    assert mous_of_run(RunContext(site, ledger, run)) == MOUS
    archive.mous.assert_called_once()


def test_killed_behind_the_ledgers_row_the_next_try_goes_on(archive, ledger, site, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("srdp.services.opening.open_imaging_run.record_mous", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            opened()
    (run,) = ledger.runs.newest()
    assert opened() == run.pipeline_run_id
    assert [event.event for event in ledger.events.of_run(run.pipeline_run_id)] == [
        "opened",
        "mous_read",
        "engine_chosen",
    ]
    assert mous_of_run(RunContext(site, ledger, run)) == MOUS
    assert processing_directory(site.areas, run.pipeline_run_id).working.is_dir()


def test_the_engine_that_is_chosen_is_the_runs_for_ever(archive, ledger, site, monkeypatch):
    with pytest.raises(AirflowFailException, match="is no engine of this site: choose local"):
        opened(engine="slurm")
    assert ledger.runs.newest() == []
    with_slurm = site.model_copy(update={"engines": (EngineName.SLURM,)})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: with_slurm)
    run_id = opened(engine="slurm")
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: site)
    assert engine_of_run(ledger, run_id) == "slurm"
    assert choose_engine(SiteContext(site, ledger), "None", run_id) == "local", "the site has no other one any more"
    assert choose_engine(SiteContext(with_slurm, ledger), "None", run_id) == "slurm"


def test_the_same_request_is_refused_and_another_for_the_mous_is_not(archive, ledger, site):
    first = opened()
    with pytest.raises(AirflowFailException, match=f"its pipeline run {first} is active"):
        opened("manual__2", fields='["V_BP_Tau", "TW_Hya"]', user="somebody else")
    other = opened("manual__3", continuum="False", fields="TW_Hya")
    assert {run.pipeline_run_id for run in ledger.runs.newest()} == {first, other}
    assert {run.version for run in ledger.runs.newest()} == {1}


def test_a_request_of_which_a_run_passed_is_refused(archive, ledger, site):
    first = opened()
    request = ledger.runs.get(first)
    for state in (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA):
        ledger.runs.transition(first, state, event="of a test")
    ledger._database.transact(
        lambda rows: rows._cursor.execute(
            "UPDATE request SET sealed_at = now() WHERE digest = %s", (request.request_digest,)
        )
    )
    with pytest.raises(AirflowFailException, match=f"'{UID}' was not started: one of its runs passed QA"):
        opened("manual__2")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mous": "uid://A001/X1288"}, "not the UID of an ALMA MOUS"),
        ({"mous": "../x"}, "not the UID of an ALMA MOUS"),
        ({"fields": "None"}, "No field is named"),
        ({"fields": "a{b"}, "in its name, with which CASA does not select it"),
        ({"continuum": "False", "cubes": ""}, "Neither the continuum nor a cube"),
        ({"cubes": "Other, 25, 230.538, 0, 1, 10"}, "'Other', which is not among the fields"),
        ({"cubes": "TW_Hya, 25"}, "is no cube"),
        ({"angular_resolution_arcsec": "-1"}, "The angular resolution"),
        ({"user_email": "x\r\nBcc: y@example.org"}, "not an e-mail address"),
        ({"recipe": "vla_calibration"}, "is not one for ALMA data"),
        ({"recipe": "no_such"}, "There is no recipe"),
        ({"cubes": "TW_Hya, 25, 230.538, 0, 1, 16384", "angular_resolution_arcsec": "0.001"}, "more than the limit"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(archive, ledger, site, changes, words):
    with pytest.raises(AirflowFailException, match=words) as caught:
        opened(**changes)
    assert "Traceback" not in str(caught.value)
    assert ledger.runs.newest() == []
    assert entries(site.alma_processing_area) == []


def test_the_sites_limits_are_the_limits(archive, ledger, site, monkeypatch):
    for name in ("alma_max_cube_limit_gb", "alma_max_product_gb"):
        strict = site.model_copy(update={name: 1e-6})
        monkeypatch.setattr(srdp.settings, "load_settings", lambda strict=strict: strict)
        with pytest.raises(AirflowFailException, match="more than the limit"):
            opened()
    assert ledger.runs.newest() == []


def test_a_mous_without_a_calibration_starts_nothing(archive, ledger):
    archive.mous.return_value = mous(uid=UID, project="2019.1.00001.S", asdms=[ASDM])
    with pytest.raises(AirflowFailException, match=f"The archive has no calibration of {UID}"):
        opened()
    assert ledger.runs.newest() == []


def test_what_the_archive_does_not_know_starts_nothing(archive, ledger):
    archive.mous.side_effect = InvalidInput("not in the archive.")
    with pytest.raises(AirflowFailException, match="not in the archive"):
        opened()
    assert ledger.runs.newest() == []


@pytest.mark.parametrize("missing", ["qa", "pipeline"])
def test_a_site_that_could_not_run_it_is_found_before_the_run_is_made(archive, ledger, site, missing):
    if missing == "qa":
        shutil.rmtree(site.alma_qa_area)
    else:
        (site.scipipe_heuristics / "pipeline" / ALMA.runner).unlink()
    error, words = {
        "qa": (
            TryAgain,
            rf"{site.alma_qa_area} \(SRDP_ALMA_QA_AREA\) is not there: see whether its file system is mounted",
        ),
        "pipeline": (AirflowFailException, r"runpipeline\.py is missing"),
    }[missing]
    with pytest.raises(error, match=words):
        opened()
    assert ledger.runs.newest() == []


def test_areas_of_vla_that_are_away_are_no_matter(archive, ledger, site):
    shutil.rmtree(site.qa_area)
    assert ledger.runs.get(opened()).state is RunState.CREATED


def test_a_cleared_dag_run_does_not_begin_again_with_a_run_that_has_ended(archive, ledger, site):
    run_id = opened()
    for state in (RunState.FETCHING, RunState.FAILED):
        ledger.runs.transition(run_id, state, event="of a test")
    with pytest.raises(AirflowFailException, match=f"{run_id} of this DAG run is failed"):
        opened()
