"""Fixtures for tests that run whole DAGs on separate Airflow processes, started over REST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.site import HELD_STAGE, Site
from tests.observing import small_sdm as make_small_sdm
from tests.programs.casa_contract import ContractCasa

from sandbox.browser import log_in
from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# How long a page may take on a busy machine.
_SLOW_PAGE_MS = 60_000


@pytest.fixture
def stack(instance: Instance) -> Iterator[Instance]:
    """The session's stack with every component running, whatever the test before did to it."""
    instance.up()
    yield instance
    instance.places.ngas_faults.unlink(missing_ok=True)


@pytest.fixture
def page(browser: Browser, stack: Instance) -> Iterator[Page]:
    """A page of somebody who has logged in."""
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1400, "height": 860})
    page = context.new_page()
    page.set_default_timeout(_SLOW_PAGE_MS)
    expect.set_options(timeout=_SLOW_PAGE_MS)
    log_in(page, stack.airflow_url, stack.secrets.airflow_password)
    yield page
    context.close()


@pytest.fixture
def airflow(stack: Instance) -> AirflowApi:
    """Airflow's REST API of the session's stack."""
    return stack.airflow_api()


@pytest.fixture
def casa(contract_casa: ContractCasa) -> Iterator[ContractCasa]:
    """The stack's CASA, which does what `casa.behave(...)` says and behaves well again after the test."""
    contract_casa.behave()
    yield contract_casa
    contract_casa.behave()


@pytest.fixture(scope="session")
def small_sdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SDM of some files and two directories."""
    return make_small_sdm(tmp_path_factory.mktemp("sdm") / "sdm", bytes_each=200_000)


@pytest.fixture(scope="module")
def quiet_site(instance: Instance, contract_casa: ContractCasa, small_sdm: Path) -> Iterator[Site]:
    """The site of a calibration, on which nobody travels but the tests: the ingestion sensor is paused."""
    airflow = instance.airflow_api()
    for dag in ("vla_calibration", "watch_observations", "send_mails_and_reconcile"):
        airflow.wait_for_dag(dag)
    slots = airflow.get("pools/casa")["slots"]
    airflow.patch("dags/watch_observations", {"is_paused": True})
    made = Site(instance, contract_casa, small_sdm)
    yield made
    instance.up()
    made.set_casa_slots(slots)
    airflow.patch("dags/watch_observations", {"is_paused": False})
    # What watches for it is begun when its file is read.
    airflow.request("PUT", f"parseDagFile/{airflow.get('dags/watch_observations')['file_token']}")


@pytest.fixture
def site(quiet_site: Site, stack: Instance, casa: ContractCasa) -> Site:
    """The quiet site with every component running and no limit to CASA that matters; CASA waits to be released."""
    casa.behave(hold_at=HELD_STAGE)
    quiet_site.set_casa_slots(32)
    return quiet_site
