"""Lets images await their verdict that no DAG has made: for what comes after the mail that reports them.

The ledger gets a run as the task chain of an imaging writes it, with the mail, and a directory with weblog and products
is in the image QA area. Nothing is fetched, CASA is not called, and nobody is asked who reviews it: that is what is
looked at.

It is started with the environment of an instance and the number of runs; the run IDs are printed, one a line.
"""

from __future__ import annotations

import sys
import uuid

DAG = "alma_imaging"
WEBLOG = "pipeline-20261122T190000"


def main() -> None:
    """Make the runs."""
    from srdp.hooks.ledger import Ledger
    from srdp.settings import load_settings

    settings = load_settings()
    ledger = Ledger(settings)
    for _ in range(int(sys.argv[1])):
        print(_awaiting(settings, ledger), flush=True)


def _awaiting(settings, ledger):  # type: ignore[no-untyped-def]
    from srdp.domain.imaging.request import imaging_request
    from srdp.domain.runs.pipeline_run import qa_directory
    from srdp.domain.runs.run_marker import make_marked
    from srdp.domain.runs.states import RunState
    from srdp.notifications.run_mails import ready_for_review

    number = uuid.uuid4().hex[:8]
    asked = imaging_request(
        mous=f"uid://A001/X1288/X{number}", fields="TW_Hya", continuum=True, asked_by="A. User",
        cubes="TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80", asked_by_email="user@example.edu",
    )  # fmt: skip
    run = ledger.runs.open(
        kind=DAG, subject=asked.mous, project="2019.1.00001.S", locator=f"uid://alma/calibration/{uuid.uuid4()}",
        dag_id=DAG, dag_run_id=f"manual__{number}", requested_by="archive", recipe="hifa_cubeimage", cores=1,
        memory_gb=1, request_digest=asked.digest, asked=asked.as_json(),
    )  # fmt: skip
    run_id = run.pipeline_run_id
    directory = qa_directory(settings.areas, run_id)
    make_marked(directory.root, run.marker)
    weblog = directory.working / WEBLOG / "html"
    for folder in (weblog, directory.products, directory.rawdata):
        folder.mkdir(parents=True)
    (weblog / "t1-1.html").write_text(f"<h1>{run_id}</h1>")
    (directory.products / "TW_Hya_sci.spw25.cube.I.pbcor.fits").write_bytes(b"\0" * 28_800)
    ledger.runs.transition(run_id, RunState.FETCHING, event="begun")
    ledger.runs.transition(run_id, RunState.PROCESSING, event="fetched")
    scores = [{"stage": 9, "name": "hif_makeimages", "score": 0.3, "reason": "The beam is far off"}]
    ledger.runs.record_scores(run_id, 0.3, scores)
    mail = ready_for_review(settings, ledger, run, directory)
    ledger.runs.transition(run_id, RunState.AWAITING_QA, event="delivered", mails=[mail])
    return run_id


if __name__ == "__main__":
    main()
