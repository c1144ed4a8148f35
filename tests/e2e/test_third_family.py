"""A family that is a package, a recipe and DAG files goes the whole way on a real scheduler, with the contract CASA."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.site import Run, Site
from tests.e2e.site_tools import until

from sandbox.stack import Instance
from srdp.families import Family, family_of
from srdp.families.registry import forget, load

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

THIRD = Path(__file__).parents[1] / "families" / "vla_continuum"
DAG = "vla_continuum"


@pytest.fixture
def family(stack: Instance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    """The family, known to this process too as long as the test runs."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    load([str(THIRD)])
    found = family_of(DAG)
    for dag in found.dags:
        stack.airflow_api().wait_for_dag(dag)
    yield found
    forget(found)
    del sys.modules["vla_continuum"]


def test_a_third_family_goes_from_its_form_to_the_archive_and_away(site: Site, family: Family) -> None:
    site.casa.behave()
    refused = site.trigger(DAG, "not calibrated", execution_block=site.observe(status="Ready").name)
    block = site.observe(status="Calibrated")
    run = Run(site, DAG, site.trigger(DAG, "images", execution_block=block.name).dag_run_id, block)
    run.until_state("awaiting_qa", "failed", "cancelled")
    run.until_ended()
    assert (run.state, run.dag_run_state()) == ("awaiting_qa", "success"), run.story()
    assert run.id.startswith("vlacont-")
    assert run.row()["recipe"] == DAG
    assert (run.directory("qa") / "products" / f"{block.name}.target_sci.spw0_15.cont.regcal.I.pb.fits").is_file()
    run.check_mails("Ready for review")
    refused.check_refused("open_run", "only what is calibrated is imaged")

    ingest = site.trigger(family.ingest_dag, "ingest", pipeline_run_id=run.id)
    ingest.check_success()
    assert run.state == "archived", ingest.story()
    statement = """
        SELECT image_set.locator, execution_block_locator, mous_uid, image.product, image.relative_path, file.kind
        FROM image_set
        JOIN image ON image_set_locator = image_set.locator
        JOIN file ON file.file_group_id = image_set.file_group_id AND file.relative_path = image.relative_path
        WHERE execution_block_locator = %(block)s
        ORDER BY image.relative_path
    """
    rows = site.archive.rows(statement, block=block.locator)
    assert [(row["product"], row["kind"]) for row in rows] == [("ancillary", "ancillary"), ("science", "science")]
    assert {row["locator"].rpartition("/")[0] for row in rows} == {"uid://evla/image_set"}
    (status,) = site.archive.rows(
        "SELECT calibration_status FROM execution_block WHERE locator = %(block)s", block=block.locator
    )
    assert status["calibration_status"] == "Calibrated"
    until("the mail", lambda: any("archived" in mail.lower() for mail in run.mails()))

    site.trigger(family.cleanup_dag, "cleanup", pipeline_run_id=run.id).check_success()
    assert (run.state, run.directories()) == ("cleaned", [])
