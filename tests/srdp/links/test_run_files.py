from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

import srdp.settings
from srdp.domain.common.errors import SettingsError
from srdp.domain.runs.pipeline_run import processing_directory, qa_directory
from srdp.links.run_files import RUN_FILES_LINKS, RUNNING_LINKS, WorkingDirectoryLink
from srdp.operators.casa import RunCasaPipelineOperator
from srdp.operators.outcome import JudgeOutcomeOperator

RUN = "vla-20261122-182453-4f7k"
BASE = "http://127.0.0.1:8090/runs"


@pytest.fixture(autouse=True)
def own_settings(settings, monkeypatch):
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)


@pytest.fixture
def directory(settings):
    directory = processing_directory(settings.areas, RUN)
    directory.working.mkdir(parents=True)
    return directory


def links(run_id=RUN):
    return {link.name: link.get_link(SimpleNamespace(pipeline_run_id=run_id), ti_key=None) for link in RUN_FILES_LINKS}


def test_while_there_is_nothing_to_see_only_the_directory_is_linked(directory):
    assert links() == {"Weblog": "", "Run directory": f"{BASE}/{RUN}/", "CASA log": ""}


def test_each_link_leads_to_the_newest_of_what_casa_left(directory):
    for stamp in ("20261122T190000", "20261121T190000"):
        (directory.working / f"pipeline-{stamp}" / "html").mkdir(parents=True)
    (directory.working / "casa-20261122-182453.log").touch()
    assert links() == {
        "Weblog": f"{BASE}/{RUN}/working/pipeline-20261122T190000/html/t1-1.html",
        "Run directory": f"{BASE}/{RUN}/",
        "CASA log": f"{BASE}/{RUN}/working/casa-20261122-182453.log",
    }


def test_links_follow_the_run_into_the_qa_area(directory, settings):
    (directory.working / "casa.log").touch()
    directory.root.rename(qa_directory(settings.areas, RUN).root)
    assert links()["CASA log"] == f"{BASE}/{RUN}/working/casa.log"


@pytest.mark.parametrize("run_id", [None, "", "{{ not rendered }}", "../x", "vla-20200101-000000-none"])
def test_without_a_run_there_is_no_link(settings, run_id):
    assert set(links(run_id).values()) == {""}


def test_wrong_settings_are_for_the_task_to_tell(monkeypatch):
    def wrong():
        raise SettingsError("SRDP_HOME: is not set")

    monkeypatch.setattr(srdp.settings, "load_settings", wrong)
    assert set(links().values()) == {""}


def test_while_casa_runs_what_can_be_linked_is_where_its_log_and_weblog_appear(directory):
    """A link is made when a task defers; the step that runs CASA does so before there is anything to see."""
    link = WorkingDirectoryLink()
    assert link.get_link(SimpleNamespace(pipeline_run_id=RUN), ti_key=None) == f"{BASE}/{RUN}/working/"
    assert RUNNING_LINKS[0].name == "Run directory"


@pytest.mark.parametrize(
    ("operator", "links"),
    [
        (RunCasaPipelineOperator, {"Run directory": "RunDirectoryLink", "Working directory": "WorkingDirectoryLink"}),
        (
            JudgeOutcomeOperator,
            {"Weblog": "WeblogLink", "Run directory": "RunDirectoryLink", "CASA log": "CasaLogLink"},
        ),
    ],
)
def test_the_grid_knows_the_links_without_a_plugin(operator, links):
    """What the scheduler and the API server see of the task: the names, and the XComs that hold the addresses."""
    with DAG("some_dag", schedule=None) as dag:
        operator(task_id="task", pipeline_run_id=RUN)
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("task")
    assert task.extra_links == sorted(links)
    found = {name: link.xcom_key for name, link in task.operator_extra_link_dict.items()}
    assert found == {name: f"_link_{link}" for name, link in links.items()}


def test_the_guide_names_the_links_that_the_steps_have():
    guide = " ".join((Path(__file__).parents[3] / "docs" / "data-analyst.md").read_text().split())
    of_casa, of_others = (", ".join(f"*{link.name}*" for link in links) for links in (RUNNING_LINKS, RUN_FILES_LINKS))
    assert f"**Links** under *Details* of *Run CASA*: {of_casa}" in guide
    assert f"of *Judge the outcome* and *Deliver to the QA area*: {of_others}" in guide
