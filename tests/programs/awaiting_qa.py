"""Lets runs await their verdict that no DAG has made: for tests of what comes after, which would wait for minutes.

What Airflow would have done is done here in one process: the ledger gets a run as the task chain of a calibration
writes it, CASA is called by its calling contract, and the directory is in the QA area. Nothing is fetched, no job is
submitted, and nobody gets a mail.

It is started with the environment of an instance; standard input has, as JSON, a list of execution blocks with name,
locator, project and the DAG run id that is to stand in the ledger; the run IDs are printed, one a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

DAG = "vla_calibration"


def main() -> None:
    """Make the runs."""
    from srdp.hooks.ledger import Ledger
    from srdp.settings import load_settings

    settings = load_settings()
    ledger = Ledger(settings)
    for block in json.load(sys.stdin):
        print(_awaiting(settings, ledger, **block), flush=True)


def _awaiting(settings, ledger, *, name, locator, project, dag_run_id):  # type: ignore[no-untyped-def]
    from srdp.domain.ppr.document import recipe_template, render_vla_processing_request, request_sha256
    from srdp.domain.runs.ledger_records import SubmittedFile
    from srdp.domain.runs.pipeline_run import qa_directory
    from srdp.domain.runs.run_marker import make_marked
    from srdp.domain.runs.states import RunState

    run = ledger.runs.open(
        kind=DAG, subject=name, project=project, locator=locator, dag_id=DAG, dag_run_id=dag_run_id,
        requested_by="analyst", recipe=DAG, cores=1, memory_gb=1,
    )  # fmt: skip
    run_id = run.pipeline_run_id
    directory = qa_directory(settings.areas, run_id)
    make_marked(directory.root, run.marker)
    for folder in (directory.working, directory.products, directory.rawdata / name):
        folder.mkdir(parents=True)
    # Apart from the release, so that a CASA that would wait for it does not.
    (directory.working / "release").touch()
    (directory.rawdata / name / "ASDM.xml").write_text(f"<ASDM>{name}</ASDM>")
    ppr = render_vla_processing_request(
        recipe_template(settings.templates, DAG), execution_block=name, pipeline_run_id=run_id,
        processing_site=settings.processing_site, operator=settings.operator,
    )  # fmt: skip
    directory.processing_request.write_bytes(ppr)
    ledger.runs.transition(run_id, RunState.FETCHING, event="begun")
    ledger.runs.transition(run_id, RunState.PROCESSING, event="fetched")
    ledger.submitted_files.record(run_id, SubmittedFile(name="PPR.xml", content=ppr, source="recipe"))
    ledger.runs.record_ppr(run_id, request_sha256(directory))
    began = datetime.now(UTC)
    _call_casa(settings, directory.working)
    versions = {"casa_version": "6.6.1.17", "pipeline_version": "2024.1.0.8"}
    ledger.casa.record(run_id, 1, started_at=began, ended_at=datetime.now(UTC), exit_code=0, **versions)
    ledger.runs.transition(run_id, RunState.AWAITING_QA, event="delivered")
    return run_id


def _call_casa(settings, working: Path) -> None:  # type: ignore[no-untyped-def]
    script = settings.scipipe_heuristics / "pipeline" / "runvlapipeline.py"
    command = [str(settings.casa), *settings.casa_arguments, "-c", str(script), "PPR.xml"]
    environment = os.environ | {
        "SCIPIPE_HEURISTICS": str(settings.scipipe_heuristics),
        "SCIPIPE_ROOTDIR": str(settings.qa_area),
    }
    subprocess.run(command, cwd=working, env=environment, check=True)


if __name__ == "__main__":
    main()
