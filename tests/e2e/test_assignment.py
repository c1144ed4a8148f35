"""Who reviews images: asked, answered, given to somebody else, and not asked any more, on the real scheduler."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect
from tests.e2e.site_tools import Database, until

from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.credentials import USER
from sandbox.stack.environment import LEDGER

pytestmark = pytest.mark.airflow

_PROGRAM = Path(__file__).parents[1] / "programs" / "images_awaiting_qa.py"
_DAG, _TASK, _MINUTE = "alma_assign_qa", "ask_who_reviews_it", "send_mails_and_reconcile"
_FIRST, _SECOND = "first-analyst@observatory.example", "second-analyst@observatory.example"


class Images:
    """Images that await their verdict, and what is seen of them."""

    def __init__(self, stack: Instance) -> None:
        self.stack = stack
        self.airflow: AirflowApi = stack.airflow_api()
        self.ledger = Database(stack.postgres.url(LEDGER))
        environment = stack.environment() | {"PYTHONPATH": str(stack.places.home / "plugins")}
        made = subprocess.run(
            [sys.executable, _PROGRAM, "1"], env=environment, check=True, capture_output=True, text=True
        )
        self.run_id = made.stdout.strip()

    def minute_passes(self) -> None:
        """Lets the DAG run that comes each minute do its work now."""
        run = self.airflow.trigger(_MINUTE)
        assert self.airflow.wait_for_run(_MINUTE, run) == "success"

    def state_of_question(self, dag_run_id: str | None = None) -> str | None:
        path = f"dags/{_DAG}/dagRuns/{dag_run_id or self.run_id}/taskInstances/{_TASK}"
        try:
            state: str | None = self.airflow.get(path)["state"]
        except requests.HTTPError:
            return None
        return state

    def until_it_is_asked(self, dag_run_id: str | None = None) -> None:
        until("the question waits", lambda: self.state_of_question(dag_run_id) == "awaiting_input")

    def question(self) -> str:
        return f"dags/{_DAG}/dagRuns/{self.run_id}/taskInstances/{_TASK}/-1/hitlDetails"

    def answer(self, analyst: str) -> None:
        """Answers, and again if it is asked again: a click is lost if the worker that takes it is killed with it."""

        def taken() -> bool:
            waits = self.state_of_question() == "awaiting_input"
            if waits and not self.airflow.get(self.question())["response_received"]:
                self.airflow.patch(self.question(), {"chosen_options": [analyst], "params_input": {}})
            return bool(self.assignments())

        until("the answer is in the ledger", taken, seconds=300)

    def assignments(self) -> list[tuple[int, str, str]]:
        rows = self.ledger.rows(
            "SELECT number, data_analyst, assigned_by FROM assignment WHERE pipeline_run_id = %(run)s ORDER BY number",
            run=self.run_id,
        )
        return [(row["number"], row["data_analyst"], row["assigned_by"]) for row in rows]

    def mails(self) -> list[dict[str, Any]]:
        """Return what the mail server has received about the run."""
        answer = requests.get(f"{self.stack.mail_url}/messages/", timeout=10)
        answer.raise_for_status()
        return [message for message in answer.json()["messages"] if self.run_id in message["subject"]]

    def reported(self) -> set[tuple[str, str]]:
        """Return how the subjects of the mails begin, and to whom they went."""
        found = set()
        for mail in self.mails():
            # The mail server shows a long subject folded.
            beginning = " ".join(mail["subject"].partition(":")[0].split())
            found |= {(beginning, address.strip("<>")) for address in mail["recipients"]["to"]}
        return found


@pytest.fixture
def images(stack: Instance) -> Images:
    for dag in (_DAG, _MINUTE):
        stack.airflow_api().wait_for_dag(dag)
    return Images(stack)


def test_it_is_asked_answered_given_to_somebody_else_and_not_asked_any_more(images: Images) -> None:
    # Nobody has started the question: it is as if it had been lost.
    images.minute_passes()
    images.until_it_is_asked()
    detail = images.airflow.get(images.question())
    assert detail["options"] == [_FIRST, _SECOND]
    assert images.airflow.get("pools/default_pool")["occupied_slots"] == 0

    images.answer(_FIRST)
    assert images.airflow.wait_for_run(_DAG, images.run_id) == "success"
    assert images.assignments() == [(1, _FIRST, USER)]
    assert ("[SRDP] QA ERROR 0.30, for your review", _FIRST) in images.reported()

    form = images.airflow.trigger(_DAG, {"pipeline_run_id": images.run_id, "data_analyst": _SECOND})
    assert images.airflow.wait_for_run(_DAG, form) == "success"
    assert images.assignments() == [(1, _FIRST, USER), (2, _SECOND, USER)]
    assert images.reported() >= {
        ("[SRDP] QA ERROR 0.30, for your review", _SECOND),
        ("[SRDP] Not yours to review any more", _FIRST),
    }

    # Asked again by form, and then the verdict is given.
    again = images.airflow.trigger(_DAG, {"pipeline_run_id": images.run_id})
    images.until_it_is_asked(again)
    images.ledger.change(
        "UPDATE pipeline_run SET state = 'rejected' WHERE pipeline_run_id = %(run)s", run=images.run_id
    )
    images.minute_passes()
    assert images.airflow.wait_for_run(_DAG, again) == "success"
    assert images.state_of_question(again) == "skipped"
    assert len(images.assignments()) == 2


@pytest.mark.browser
def test_the_mail_leads_to_one_click_that_assigns_it(images: Images, page: Page, tmp_path: Path) -> None:
    images.minute_passes()
    images.until_it_is_asked()
    (mail,) = until("the mail", images.mails)
    page.goto(images.stack.mail_url)
    page.get_by_text(mail["subject"]).first.click()
    address = page.frame_locator("iframe").get_by_role("link", name=_SECOND).first.get_attribute("href")
    assert address is not None

    page.goto(address)
    # What is needed to decide stands on the page, and who was chosen in the mail is chosen.
    expect(page.get_by_text(images.run_id).first).to_be_visible()
    expect(page.get_by_text(_SECOND).first).to_be_visible()
    page.screenshot(path=tmp_path / "question.png")
    page.get_by_role("button", name=re.compile("^(OK|Respond)")).first.click()
    assert images.airflow.wait_for_run(_DAG, images.run_id) == "success"
    assert images.assignments() == [(1, _SECOND, USER)]
