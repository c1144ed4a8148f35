"""What people see: Airflow's pages, the mails and the weblog, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.site import Site
from tests.e2e.site_tools import until
from tests.programs.casa_contract import ContractCasa

from sandbox.stack import Instance
from srdp.domain.runs.states import RunState

pytestmark = [pytest.mark.airflow, pytest.mark.browser]

_SLOW_MS = 60_000


@pytest.fixture
def site(stack: Instance, casa: ContractCasa, small_sdm: Path) -> Site:
    return Site(stack, casa, small_sdm)


def open_form(page: Page, stack: Instance) -> None:
    page.goto(f"{stack.airflow_url}/dags/vla_calibration")
    page.get_by_role("button", name="Trigger").first.click()
    page.locator("[id=element_execution_block]").wait_for()


def test_an_analyst_starts_a_calibration_by_form_and_follows_it_to_the_weblog(
    page: Page, stack: Instance, site: Site
) -> None:
    # The sensor leaves what is calibrated alone; an analyst may calibrate it again.
    block = site.observe(status="Calibrated")
    open_form(page, stack)
    page.locator("[id=element_execution_block]").fill(block.name)
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()

    def delivered() -> dict[str, object] | None:
        rows = site.ledger.rows(
            "SELECT pipeline_run_id, dag_run_id FROM pipeline_run JOIN request USING (request_id)"
            " WHERE subject = %(name)s AND state = %(state)s",
            name=block.name,
            state=RunState.AWAITING_QA,
        )
        return rows[0] if rows else None

    run = until("the calibration that was started by form awaits its verdict", delivered)
    run_id, dag_run = str(run["pipeline_run_id"]), str(run["dag_run_id"])

    # The first step of a run that was started by form shows its EB.
    page.goto(f"{stack.airflow_url}/dags/vla_calibration/runs/{dag_run}/tasks/open_run/mapped")
    expect(page.get_by_text(block.name).first).to_be_visible()
    for step in ("Open the run", "Fetch raw data from NGAS", "Run CASA", "Deliver to the QA area"):
        expect(page.get_by_text(step).first).to_be_visible()

    # The links lead to the run's files, wherever they are now.
    page.goto(f"{stack.airflow_url}/dags/vla_calibration/runs/{dag_run}/tasks/deliver_to_qa_area/details")
    for name in ("Weblog", "Run directory", "CASA log"):
        address = page.get_by_role("link", name=name).first.get_attribute("href")
        assert address is not None
        assert run_id in address
        assert page.request.get(address).ok

    # The mail leads to the weblog.
    subject = until(
        "the mail", lambda: next((text for text in site.subjects() if run_id in text and "review" in text), None)
    )
    page.goto(stack.mail_url)
    page.get_by_text(subject).first.click()
    link = page.frame_locator("iframe").get_by_role("link", name=re.compile("weblog", re.IGNORECASE)).first
    address = link.get_attribute("href")
    assert address is not None
    assert page.goto(address).ok


def test_the_page_wants_the_field_that_must_be_given(page: Page, stack: Instance) -> None:
    open_form(page, stack)
    page.locator("[id=element_execution_block]").fill("")
    page.keyboard.press("Tab")
    expect(page.get_by_role("dialog").get_by_role("button", name="Trigger")).to_be_disabled()


def test_what_is_refused_says_so_where_who_asked_looks_first(page: Page, stack: Instance, site: Site) -> None:
    runs = site.ledger.rows("SELECT count(*) FROM pipeline_run")
    open_form(page, stack)
    hostile = "<script>alert(1)</script>{{ 7 * 7 }}"
    page.locator("[id=element_execution_block]").fill(f" {hostile} ")
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()

    def refused() -> str | None:
        newest = site.airflow.get("dags/vla_calibration/dagRuns", order_by="-run_after", limit="1")["dag_runs"][0]
        was_asked = newest["conf"].get("execution_block", "").strip() == hostile
        return str(newest["dag_run_id"]) if was_asked and newest["state"] == "success" else None

    dag_run = until("the refusal", refused)
    page.goto(f"{stack.airflow_url}/dags/vla_calibration/runs/{dag_run}/tasks/open_run/mapped")
    expect(page.get_by_text(f"Refused: '{hostile}' is neither").first).to_be_visible()
    assert site.ledger.rows("SELECT count(*) FROM pipeline_run") == runs


def test_nobody_sees_anything_without_a_login(browser: Browser, stack: Instance) -> None:
    page = browser.new_page()
    page.goto(f"{stack.airflow_url}/dags/vla_calibration")
    expect(page.locator("input[name=password]")).to_be_visible(timeout=_SLOW_MS)
    page.close()
