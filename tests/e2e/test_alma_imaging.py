"""The imaging of an ALMA MOUS from the request to the image QA area, on a real scheduler with the contract CASA."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.site import DagRun, Run, Site, contents
from tests.e2e.site_imaging import letter
from tests.programs.casa_contract import ContractCasa
from tests.sandbox.alma_observation.making import make_mous

from sandbox.alma_observation.observe import ObservedMous, observe_mous
from sandbox.stack import Instance
from srdp.domain.runs.identifiers import disk_name

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

DAG = "alma_imaging"
HELD_STAGE = "hifa_restoredata"
CUBE = {
    "field": "sim_disk", "spw": 0, "rest_frequency_ghz": 230.538, "start": "-12km/s", "width": "3km/s", "channels": 17,
}  # fmt: skip


@pytest.fixture
def mous(stack: Instance, quiet_site: Site, tmp_path: Path) -> ObservedMous:
    """A MOUS that is new in the archive, observed in two sessions, each with its own calibration tables."""
    ngas = f"http://127.0.0.1:{stack.ports.ngas}"
    (made,) = observe_mous(archive=quiet_site.archive.url, ngas=ngas, made=make_mous(tmp_path / "made", sessions=2))
    return made


@pytest.fixture
def held(quiet_site: Site, stack: Instance, casa: ContractCasa) -> Site:
    quiet_site.airflow.wait_for_dag(DAG)
    casa.behave(hold_at=HELD_STAGE)
    return quiet_site


def image(site: Site, title: str, mous: ObservedMous, **asked: object) -> Run:
    conf = {"mous": mous.uid, "fields": ["sim_disk"], "cubes": [CUBE], **asked}
    return Run(site, DAG, site.trigger(DAG, title, **conf).dag_run_id, mous)


def test_what_a_user_asks_of_a_mous_comes_to_the_image_qa_area(held: Site, mous: ObservedMous) -> None:
    run = image(held, "the request", mous, asked_by="Ada", asked_by_email="ada@example.org")
    run.until("CASA is held", run.is_casa_held)

    refused = image(held, "the same again", mous, asked_by="somebody else")
    unknown = DagRun(held, DAG, held.trigger(DAG, "unknown", mous="uid://A001/X1/Xdead", fields="x").dag_run_id)
    refused.check_refused("open_run", f"its pipeline run {run.id} is active")
    unknown.check_refused("open_run", "The archive has no MOUS uid://A001/X1/Xdead")
    # It came over the REST API, as a front end sends it: nobody looks at the DAG run.
    reported = letter(held, "NOT STARTED", mous.uid)
    assert all(words in reported.text for words in ("somebody else", f"its pipeline run {run.id} is active"))

    run.release()
    run.until_state("awaiting_qa", "failed", "cancelled")
    run.until_ended()
    assert (run.state, run.dag_run_state()) == ("awaiting_qa", "success"), run.story()
    assert run.chain() == [
        (None, "created"), ("created", "fetching"), ("fetching", "processing"), ("processing", "awaiting_qa"),
    ]  # fmt: skip
    assert run.directories() == [run.directory("qa")]
    (start,) = run.starts()
    assert start["arguments"][-2:] == [str(held.casa.heuristics / "pipeline" / "runpipeline.py"), "PPR.xml"]

    asdms, unit = {disk_name(asdm.uid) for asdm in mous.asdms}, disk_name(mous.uid)
    rawdata = contents(run.directory("qa") / "rawdata")
    assert len(asdms) == 2
    assert {path.partition("/")[0] for path in rawdata} == asdms | {file.relative_path for file in mous.products}
    fetched = held.ledger.rows("SELECT path FROM fetched_file WHERE pipeline_run_id = %(id)s", id=run.id)
    assert {row["path"] for row in fetched} == set(rawdata)
    images = {path.name for path in (run.directory("qa") / "products").glob("*.fits")}
    assert images == {
        f"{unit}.sim_disk_sci.{name}.fits"
        for name in (
            "spw0.cube.regcal.I.pbcor", "spw0.cube.regcal.I.pb", "spw0.cube.regcal.I.mask",
            "spw0_1.cont.regcal.I.tt0.pbcor", "spw0_1.cont.regcal.I.pb", "spw0_1.cont.regcal.I.mask",
        )
    }  # fmt: skip
    (judged,) = run.events("judged")
    assert judged["details"]["warnings"] == []

    (mail,) = run.until("the mail", run.mails)
    assert mail.startswith("[SRDP] Assign the QA")
    row = run.row()
    asked = row["asked"]
    assert (asked["asked_by"], asked["asked_by_email"], asked["requested_by"]) == ("Ada", "ada@example.org", "analyst")
