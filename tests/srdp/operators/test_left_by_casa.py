"""What CASA leaves in the place of an analyst's file is recorded as CASA's, so that an edit of it can be detected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.srdp.domain import alma_files

from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import processing_directory
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger import Ledger
from srdp.operators.outcome import JudgeOutcomeOperator
from srdp.services.context import RunContext
from srdp.services.processing import judge
from srdp.services.processing.casa_end import CasaJobFailed
from srdp.services.processing.left_by_casa import record_what_casa_left
from srdp.settings import Settings

pytestmark = pytest.mark.servers

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
PPR = SubmittedFile(name="PPR.xml", content=alma_files.processing_request(), source="recipe alma_imaging")
BY_CASA = b"# by CASA\n"
FAMILIES = [
    pytest.param({"subject": EB}, f"{EB}.flagtemplate.txt", "flagtemplate.txt", "CASA's import stage", id="vla flags"),
    pytest.param({"subject": EB}, "flux.csv", "flux.csv", "CASA's import stage", id="vla fluxes"),
    pytest.param(
        {
            "kind": "alma_imaging",
            "subject": alma_files.MOUS,
            "project": alma_files.PROJECT,
            "asked": alma_files.asked().as_json(),
            "request_digest": alma_files.asked().digest,
        },
        "cont.dat",
        "cont.dat",
        "CASA's search for the continuum",
        id="alma",
    ),
]


@pytest.mark.parametrize(("opened", "lying", "name", "source"), FAMILIES)
def test_what_casa_left_is_recorded_once_and_never_in_place_of_what_was_given(
    settings: Settings,
    ledger_url: str,
    open_run: Callable[..., PipelineRun],
    opened: dict[str, Any],
    lying: str,
    name: str,
    source: str,
) -> None:
    ledger = Ledger(settings)
    run = open_run(files=[PPR], **opened)
    directory = processing_directory(settings.areas, run.pipeline_run_id)
    directory.working.mkdir(parents=True)
    record_what_casa_left(RunContext(settings, ledger, run))
    assert set(ledger.submitted_files.of_run(run.pipeline_run_id)) == {"PPR.xml"}
    for content in (BY_CASA, b"an edit since\n"):
        (directory.working / lying).write_bytes(content)
        record_what_casa_left(RunContext(settings, ledger, run))
        recorded = ledger.submitted_files.of_run(run.pipeline_run_id)[name]
        assert (recorded.content, recorded.source) == (BY_CASA, source)
    assert set(ledger.submitted_files.of_run(run.pipeline_run_id)) == {"PPR.xml", name}


def test_what_casa_left_before_it_failed_is_recorded_too(
    settings: Settings, ledger_url: str, open_run: Callable[..., PipelineRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(settings)
    run = open_run(files=[PPR], **FAMILIES[-1].values[0])
    for state in (RunState.FETCHING, RunState.PROCESSING):
        ledger.runs.transition(run.pipeline_run_id, state, event=state)
    directory = processing_directory(settings.areas, run.pipeline_run_id)
    directory.working.mkdir(parents=True)
    (directory.working / "cont.dat").write_bytes(BY_CASA)

    def killed(*_: object) -> None:
        raise CasaJobFailed("CASA was killed.")

    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    monkeypatch.setattr(judge, "record_casa_end", killed)
    with pytest.raises(AirflowFailException, match="was killed"):
        JudgeOutcomeOperator(task_id="judge", pipeline_run_id=run.pipeline_run_id).execute({})
    recorded = ledger.submitted_files.of_run(run.pipeline_run_id)["cont.dat"]
    assert recorded.source == "CASA's search for the continuum"
