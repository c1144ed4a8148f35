"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest
from tests.docker_engine import Engine, docker_engine
from tests.programs.casa_contract import ContractCasa, install
from tests.statsd import StatsdReceiver
from tests.third_family import third_family
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from sandbox.archive import apply_schema
from sandbox.browser import chromium
from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from sandbox.stack import Instance


# The umask that docs/operator/accounts-and-areas.md wants of the service, no matter who runs the tests.
os.umask(0o022)

# How long a test takes says nothing of whether it is right, on a machine that has other work too. The examples are the
# same each time, so that a failed run says something about the change; other ones: `--hypothesis-profile=random`.
_UNTIMED = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("random", _UNTIMED)
hypothesis.settings.register_profile("repeatable", _UNTIMED, derandomize=True)
if hypothesis.settings.get_current_profile_name() in ("default", "ci"):
    hypothesis.settings.load_profile("repeatable")

_MEMORY = Path("/dev/shm")
_POSTGRES = "srdp-tests-postgres-"
_ROOM_FOR_DATABASES = 1 << 30

# One process runs what is quickest to answer first. Several begin with what takes longest, and share out the rest.
_SLOWNESS = {"servers": 1, "casa": 2, "airflow": 3, "browser": 3}
# What takes minutes to make, once in each process: the files whose tests share it belong to one process.
_TOGETHER = {
    "instance": re.compile(r"tests/(e2e/(?!test_demo)|sandbox/stack/test_instance\.py)"),
    "sdm": re.compile(r"tests/sandbox/(observation/test_make_sdm|pipeline/test_(runs|restore))\.py"),
    "made_mous": re.compile(r"tests/sandbox/(alma_observation/test_make_mous|pipeline/test_imaging_runs)\.py"),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_slowness, reverse=hasattr(config, "workerinput"))


def _slowness(item: pytest.Item) -> float:
    slowness = max((_SLOWNESS.get(mark.name, 0) for mark in item.iter_markers()), default=0)
    # The stack that most share takes longer than the demonstrations, which have one of their own.
    return slowness + 0.5 * (group_of(item.nodeid) == "instance")


def group_of(nodeid: str) -> str:
    """The tests that belong to one process: of a file, or of all files that share what takes minutes to make."""
    file = nodeid.partition("::")[0]
    return next((name for name, files in _TOGETHER.items() if files.match(file)), file)


class _GroupedFiles(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test of a team fail that is skipped where everything must be there."""
    report = yield
    if report.skipped and item.get_closest_marker("team") and os.environ.get("SRDP_TESTS_REQUIRED") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (SRDP_TESTS_REQUIRED=1: nothing may be skipped)"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    return _GroupedFiles(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL of this test session: ``.url(database)``, ``.create_database(name)``.

    In memory where there is room: hundreds of databases are made in it, one after the other.
    """
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("postgres")
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_FOR_DATABASES:
            # Even one that is killed leaves nothing behind: the next start removes it.
            remove_left_folders(_MEMORY, _POSTGRES)
            folder = _MEMORY / f"{_POSTGRES}{os.getpid()}"
            folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, folder)
        server = PostgresServer(folder, port=free_ports(1)[0], durable=False)
        server.start()
        stack.callback(server.stop)
        yield server


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    """A real Docker engine; the test is skipped, with the reason, where there can be none."""
    with docker_engine() as answering:
        yield answering


@pytest.fixture(scope="session")
def empty_archive(postgres: PostgresServer) -> str:
    """The name of the database of an archive without observations, to be copied."""
    name = "empty_archive"
    url = postgres.create_database(name)
    apply_schema(url)
    with psycopg.connect(url) as archive:
        archive.execute("INSERT INTO project (project_code) VALUES ('13A-537')")
    return name


@pytest.fixture
def new_archive(postgres: PostgresServer, empty_archive: str) -> Iterator[str]:
    """The address of the database of an archive of the test's own, which has one project and no observations."""
    yield postgres.copy_database(empty_archive, "archive")
    postgres.drop_database("archive")


def remove_left_folders(parent: Path, prefix: str) -> None:
    """Remove the folders of processes that are gone, whose numbers follow the prefix in their names."""
    for folder in parent.glob(f"{prefix}*"):
        if not Path("/proc", folder.name.removeprefix(prefix)).exists():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def contract_casa(tmp_path_factory: pytest.TempPathFactory) -> ContractCasa:
    """A second `casa` and pipeline, which know only the calling contract; `instance` runs with it."""
    return install(tmp_path_factory.mktemp("contract") / "casa")


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdReceiver]:
    """What receives the metrics of `instance`."""
    with StatsdReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def instance(
    tmp_path_factory: pytest.TempPathFactory, contract_casa: ContractCasa, statsd: StatsdReceiver
) -> Iterator[Instance]:
    """The whole stack, once a test session: every server a process of its own.

    A test that kills or stops a component leaves it running again: `instance.up()` brings up what is down.
    """
    from sandbox.stack import Instance

    folder = tmp_path_factory.mktemp("stack")
    made = Instance(
        folder / "instance",
        casa=contract_casa.casa,
        heuristics=contract_casa.heuristics,
        # Tests pause the calibration, and look at more of what was started than there are places for.
        overrides=statsd.environment | {"SRDP_WATCH_RUNS_AT_ONCE": "1000"} | third_family(folder),
        durable=False,
    )
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium without a window.

    Not for longer than a file's tests: as long as it is there, an event loop runs in this process, and no other test of
    the process could run one of its own.
    """
    with chromium() as launched:
        yield launched
