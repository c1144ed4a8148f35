"""A real Chromium without a window, for tests and for the guides' pictures.

Playwright, which drives it, comes with the developers' tools.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.stack.credentials import USER
from sandbox.test_tools import BROWSERS, DOWNLOADED, find
from srdp.domain.common.errors import SrdpError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")


class NoBrowser(SrdpError):
    """There is no Chromium on this machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium, or the one that ``make test-tools`` has downloaded, and end it.

    Raises:
        NoBrowser: there is none.
    """
    from playwright.sync_api import sync_playwright

    path = find(BROWSERS)
    if path is None:
        if not DOWNLOADED.is_dir():
            raise NoBrowser("Chromium is needed: `make test-tools` brings it; then repeat the command.")
        os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(DOWNLOADED)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *_QUIET]
        )
        yield launched
        launched.close()


def log_in(page: Page, airflow_url: str, password: str) -> None:
    """Log in at Airflow as the demo's user.

    Args:
        page: an empty page.
        airflow_url: where Airflow answers.
        password: that user's password.
    """
    page.goto(airflow_url)
    page.locator("input[name=username]").fill(USER)
    page.locator("input[name=password]").fill(password)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Dags").first.wait_for()
