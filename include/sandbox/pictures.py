"""Takes the pictures of the guides again, from the demo as it runs: ``python -m sandbox.pictures [NAME ...]``.

Mails and weblogs are those of the newest runs with a QA error, as the damaged antennas of ``make demo-alma`` and
``make observe DAMAGED=1`` make them. A picture of something that the demo does not have now is left as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import requests

from sandbox.browser import chromium, log_in
from sandbox.ports import LOOPBACK
from sandbox.stack.commands import ROOT
from sandbox.stack.credentials import Secrets
from sandbox.stack.instance import HOME
from sandbox.stack.ports import Ports
from srdp.domain.common.errors import SrdpError

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = HOME / "docs" / "pictures"
_SLOW_MS = 60_000
_SETTLED_MS = 2500
# As high as the highest form, so that none scrolls.
_FORM = (1250, 3000)
_VLA_ERROR, _ALMA_ERROR = ("QA ERROR", "(vla-"), ("QA ERROR", "(alma-")


class NothingToSee(SrdpError):
    """The demo does not have what a picture shows."""


@dataclass(frozen=True)
class Demo:
    """The demo that runs, and a page of somebody who has logged in.

    Attributes:
        page: the page.
        airflow: where Airflow answers.
        mail: where the mail box is read.
    """

    page: Page
    airflow: str
    mail: str

    def size(self, width: int, height: int) -> None:
        """Make the page this large."""
        self.page.set_viewport_size({"width": width, "height": height})

    def show(self, address: str) -> None:
        """Open an address, and wait until nothing moves any more."""
        self.page.goto(address)
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_timeout(_SETTLED_MS)

    def newest_mail(self, *words: str) -> Mapping[str, Any]:
        """Return the newest mail whose subject has these words.

        Raises:
            NothingToSee: there is none.
        """
        answer = requests.get(f"{self.mail}/messages/", timeout=10)
        answer.raise_for_status()
        for mail in sorted(answer.json()["messages"], key=lambda mail: -int(mail["id"])):
            if all(word in " ".join(mail["subject"].split()) for word in words):
                return dict(mail)
        raise NothingToSee(f"no mail has {' and '.join(words)} in its subject")

    def link(self, pattern: str, *words: str) -> str:
        """Return the first address in the newest mail with these words that the pattern fits.

        Raises:
            NothingToSee: there is no such mail, or no such address in it.
        """
        mail = requests.get(f"{self.mail}/messages/{self.newest_mail(*words)['id']}.plain", timeout=10)
        found = re.search(pattern, mail.text)
        if found is None:
            raise NothingToSee(f"the mail with {' and '.join(words)} in its subject leads to no such page")
        return found[0]


def main(names: list[str]) -> int:
    """Take the pictures with these names, or all; return the exit code."""
    ports = Ports.recorded(ROOT)
    unknown = sorted(set(names) - set(SHOTS))
    if unknown or ports is None:
        what = f"There is no picture {', '.join(unknown)}: choose from {', '.join(SHOTS)}." if unknown else ""
        sys.stderr.write((what or "Start the demo first: `make demo-alma`.") + "\n")
        return 1
    try:
        with chromium() as browser:
            page = browser.new_page()
            page.set_default_timeout(_SLOW_MS)
            demo = Demo(page, f"http://{LOOPBACK}:{ports.airflow}", f"http://{LOOPBACK}:{ports.mail}")
            log_in(page, demo.airflow, Secrets.of(ROOT).airflow_password)
            for name in names or SHOTS:
                _take(name, demo)
    except SrdpError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def _take(name: str, demo: Demo) -> None:
    path = PICTURES / f"{name}.png"
    try:
        path.write_bytes(SHOTS[name](demo))
        sys.stdout.write(f"{path.relative_to(HOME)}\n")
    except NothingToSee as problem:
        sys.stdout.write(f"{path.relative_to(HOME)} left as it is: {problem}\n")


def _form(demo: Demo, *, dag: str, section: str = "", filled: Mapping[str, str] | None = None) -> bytes:
    """A form, with these of its first fields filled in; or with this section opened, which closes the others."""
    demo.size(*_FORM)
    demo.show(f"{demo.airflow}/dags/{dag}")
    demo.page.get_by_role("button", name="Trigger").first.click()
    form = demo.page.get_by_role("dialog")
    form.get_by_role("button", name="Run Parameters").wait_for()
    if section:
        form.get_by_role("button", name=section, exact=True).click()
    for field, value in (filled or {}).items():
        form.locator(f"[id=element_{field}]").fill(value)
    demo.page.wait_for_timeout(_SETTLED_MS)
    return form.screenshot()


def _mail(demo: Demo, *, words: tuple[str, ...]) -> bytes:
    """A whole mail in the mail box."""
    subject = str(demo.newest_mail(*words)["subject"])
    demo.size(1100, 800)
    demo.show(demo.mail)
    demo.page.get_by_text(" ".join(subject.split())).first.click()
    demo.page.wait_for_timeout(_SETTLED_MS)
    around = demo.page.locator("iframe").first.bounding_box()
    above = around["y"] if around else 0
    height = demo.page.frame_locator("iframe").locator("body").evaluate("body => body.scrollHeight")
    demo.size(1100, int(above + height))
    demo.page.wait_for_timeout(_SETTLED_MS)
    return demo.page.screenshot()


def _weblog(demo: Demo, *, words: tuple[str, ...]) -> bytes:
    """The whole front page of the weblog that a mail leads to."""
    address = demo.link(r"http\S+/html/", *words)
    demo.size(1250, 900)
    demo.show(address)
    return demo.page.screenshot(full_page=True)


def _question(demo: Demo) -> bytes:
    """The page on which images are assigned, as one of the mail's addresses opens it."""
    address = demo.link(r"http\S+/required_actions\S*", *_ALMA_ERROR)
    demo.size(1250, 620)
    demo.show(address)
    return demo.page.screenshot()


def _grid(demo: Demo) -> bytes:
    """The calibrations in Airflow's grid."""
    demo.size(1250, 620)
    demo.show(f"{demo.airflow}/dags/vla_calibration/runs")
    return demo.page.screenshot()


_ASKED = {
    "mous": "uid://A001/X1288/X3f",
    "fields": "TW_Hya",
    "cubes": "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80",
}

#: How each picture is taken, by the name of its file.
SHOTS: dict[str, Callable[[Demo], bytes]] = {
    "grid": _grid,
    "form": partial(_form, dag="vla_calibration"),
    "form-vla-rerun": partial(_form, dag="vla_rerun"),
    "form-vla-qa-pass": partial(_form, dag="vla_qa_pass"),
    "form-vla-qa-fail": partial(_form, dag="vla_qa_fail"),
    "form-vla-cleanup": partial(_form, dag="vla_cleanup"),
    "form-alma-imaging": partial(_form, dag="alma_imaging", filled=_ASKED),
    "form-alma-rerun": partial(_form, dag="alma_rerun", section="Files, pasted"),
    "form-alma-ingest": partial(_form, dag="alma_ingest", section="QA report"),
    "assign-alma": _question,
    "mail": partial(_mail, words=_VLA_ERROR),
    "mail-alma": partial(_mail, words=_ALMA_ERROR),
    "weblog": partial(_weblog, words=_VLA_ERROR),
    "weblog-alma": partial(_weblog, words=_ALMA_ERROR),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
