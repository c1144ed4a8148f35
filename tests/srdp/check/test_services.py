"""Databases and servers: what is found out about each, and that none that hangs delays another."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from unittest import mock

import psycopg
import pytest
from tests.fetching import EB, LOCATOR, OneAnswer, report_document
from tests.programs.pooler import Pooler

import srdp.check.services as module
from sandbox.ngas.server import NgasServer
from srdp.check.pooler import pooler
from srdp.check.services import (
    check_archive,
    check_deadline,
    check_everything,
    check_ledger,
    check_ngas,
    check_ngas_hosts,
    check_pools,
    check_reindex,
    check_retention,
    check_weblogs,
)
from srdp.domain.common.errors import SettingsError
from srdp.domain.retention.brake import ClocksDiffer
from srdp.domain.runs.execution_block import IngestedSdm
from srdp.hooks import postgres as postgres_module
from srdp.hooks.archive import ArchiveHook, Ingested
from srdp.settings import Settings


def test_a_way_to_index_again_that_leads_nowhere_is_named(settings: Settings) -> None:
    assert "database" in check_reindex(settings)
    with pytest.raises(SettingsError, match="SRDP_REINDEX is http, but SRDP_REINDEX_URL"):
        check_reindex(settings.model_copy(update={"reindex": "http"}))


def test_invalid_retention_file_is_found_by_the_check(settings: Settings, tmp_path) -> None:
    assert "can be read" in check_retention(settings)
    wrong = settings.model_copy(update={"retention_file": tmp_path / "retention.txt"})
    with pytest.raises(SettingsError, match="put the text file there"):
        check_retention(wrong)
    wrong.retention.write_text("archived_runs  forever\n")
    with pytest.raises(SettingsError, match="line 1"):
        check_retention(wrong)


@pytest.mark.parametrize("variable", ["run_files_url", "weblog_url"])
def test_weblogs_are_not_shown_at_airflows_own_host(settings: Settings, variable: str) -> None:
    addresses = {
        "airflow_url": "https://airflow.example.org/here",
        "run_files_url": "https://weblogs.example.org",
        "weblog_url": "https://weblogs.example.org/{pipeline_run_id}/{weblog}/t1-1.html",
    }
    assert "another host" in check_weblogs(settings.model_copy(update=addresses))
    # Another port is no other host to a cookie.
    same = {variable: addresses[variable].replace("weblogs.example.org", "Airflow.example.org:8443")}
    with pytest.raises(SettingsError, match=f"SRDP_{variable.upper()} is at airflow.example.org"):
        check_weblogs(settings.model_copy(update=addresses | same))


@pytest.fixture
def hanging() -> Iterator[int]:
    """The port of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


def test_however_many_systems_hang_every_answer_is_there_in_time(
    settings: Settings, hanging: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_settings", lambda: settings)
    for name in ("LEDGER", "ARCHIVE", "LOCATOR", "NGAS", "SMTP"):
        kind = {"LOCATOR": "http", "NGAS": "http", "SMTP": "smtp"}.get(name, "postgres")
        connection = {"conn_type": kind, "host": "127.0.0.1", "port": hanging}
        monkeypatch.setenv(f"AIRFLOW_CONN_SRDP_{name}", json.dumps(connection))
    settings.casa.write_text("#!/bin/sh\nexec sleep 5\n")
    settings.casa.chmod(0o755)
    (settings.scipipe_heuristics / "pipeline").mkdir(parents=True)
    for runner in ("runvlapipeline.py", "runpipeline.py"):
        (settings.scipipe_heuristics / "pipeline" / runner).touch()
    began = time.monotonic()
    found = {finding.name: finding for finding in check_everything(with_pool=False, seconds=1.0)}
    assert time.monotonic() - began < 4.0
    silent = {name for name, finding in found.items() if "no answer within 1.0 seconds" in finding.sentence}
    assert silent == {"ledger", "archive", "locator", "ngas", "ngas hosts", "mail"}
    assert "did not finish within 0.9 seconds" in found["CASA default"].sentence
    assert "Airflow Connection srdp_ngas" in found["ngas"].sentence
    right = {name for name, finding in found.items() if finding.is_right}
    assert right == {
        "settings", "project", "retention file", "areas", "area SRDP_SPOOL_AREA", "area SRDP_PROCESSING_AREA",
        "area SRDP_QA_AREA", "weblogs", "deadline", "moves", "reindex", "engine local",
    }  # fmt: skip


@pytest.mark.servers
def test_ngas_is_probed_with_every_mime_type(settings: Settings, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NgasServer(tmp_path / "ngas", stall_seconds=20) as ngas:
        connection = {"conn_type": "http", "host": "127.0.0.1", "port": ngas.port}
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))
        assert "is online. Nothing is archived" in check_ngas(settings.model_copy(update={"ngas_ingest": False}))
        assert not [request for request in ngas.requests if request.command == "ARCHIVE"]
        said = check_ngas(settings)
        for mime_type in ("application/x-tar", "image/x-fits", "application/x-gzip"):
            assert f"{mime_type} on 1 disk(s)" in said
    with pytest.raises(SettingsError, match=str(ngas.port)):
        check_ngas(settings)


def test_host_without_login_is_found_by_the_check(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = mock.create_autospec(ArchiveHook, instance=True)
    monkeypatch.setattr(module, "ArchiveHook", lambda _settings: archive)
    archive.now.return_value = datetime(2026, 9, 1, tzinfo=UTC)

    def ingested(name: str) -> IngestedSdm:
        now = archive.now.return_value
        return IngestedSdm(locator=LOCATOR, name=name, calibration_status="", ingested_at=now)

    odd = ingested("sysstartS.58955.83384832176")
    archive.ingested_since.return_value = Ingested(archive.now.return_value, (odd,))
    assert "nothing was observed" in check_ngas_hosts(settings)
    archive.ingested_since.return_value = Ingested(archive.now.return_value, (ingested(EB), odd))
    connection = {"conn_type": "http", "host": "nmngas01.aoc.nrao.edu", "port": 7777}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))
    answer = json.dumps(report_document({"a": b"a"}, "nmngas02.aoc.nrao.edu:7777")).encode()
    with OneAnswer(b"HTTP/1.0 200 OK\r\n\r\n" + answer) as locator:
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_LOCATOR", f"http://{locator.name}")
        with pytest.raises(SettingsError, match=r"nmngas02\.aoc\.nrao\.edu:7777, which the locator report of uid"):
            check_ngas_hosts(settings)
        connection["extra"] = json.dumps({"allowed_hosts": ["nmngas*.aoc.nrao.edu"]})
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))
        assert "is on nmngas02.aoc.nrao.edu:7777" in check_ngas_hosts(settings)


@pytest.mark.servers
def test_databases_that_are_reached_directly_are_right(
    settings: Settings, ledger_url: str, new_archive: str, monkeypatch, as_connection: Callable[[str], str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(new_archive))
    assert check_ledger(settings).startswith("its tables have version ")
    assert re.search(r"its clock and this host's differ by \d+ s\.$", check_ledger(settings))
    with pytest.raises(ClocksDiffer, match="until then nothing is removed for its age"):
        check_ledger(settings.model_copy(update={"largest_clock_difference_minutes": -1.0}))
    assert check_archive(settings) == "it has what every statement needs."
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE schema_version SET number = 99 WHERE number = 1")
    with pytest.raises(SettingsError, match=r"version 99 .*srdp\.hooks\.ledger_schema"):
        check_ledger(settings)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("session", ", reached through a pooler in session mode"),
        ("transaction", ", reached through a pooler in transaction mode, with which this client works"),
    ],
)
def test_a_pooler_is_recognised(settings: Settings, ledger_url: str, monkeypatch, mode: str, said: str) -> None:
    with Pooler(ledger_url, mode) as running:
        monkeypatch.setattr(postgres_module, "_connect", lambda _id: _through(running, prepare_threshold=None))
        assert pooler(settings, "srdp_ledger", what="The ledger") == said


@pytest.mark.servers
def test_prepared_statements_fail_with_transaction_pooling(
    settings: Settings, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pooler(ledger_url, "transaction") as running:
        monkeypatch.setattr(postgres_module, "_connect", lambda _id: _through(running, prepare_threshold=2))
        with pytest.raises(SettingsError, match=r"already exists.*transaction mode does not work"):
            pooler(settings, "srdp_ledger", what="The ledger")


def _through(running: Pooler, *, prepare_threshold: int | None) -> psycopg.Connection:
    return psycopg.connect(
        f"postgresql://srdp@127.0.0.1:{running.port}/ledger", prepare_threshold=prepare_threshold, connect_timeout=10
    )


def test_unset_casa_deadline_is_asked_for(settings):
    assert "set SRDP_CASA_DEADLINE_HOURS" in check_deadline(settings)
    said = settings.model_validate({**settings.model_dump(exclude_unset=True), "casa_deadline_hours": 300})
    assert check_deadline(said) == "a CASA job is cancelled after 300 hours."


@pytest.mark.parametrize(("slots", "advises"), [(3, False), (4, True)])
def test_too_many_casa_slots_are_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, slots: int, advises: bool
) -> None:
    from airflow.models.pool import Pool

    monkeypatch.setattr(Pool, "get_pool", lambda name: Pool(pool=name, slots=slots, include_deferred=True))
    assert ("set SRDP_WATCH_RUNS_AT_ONCE to more than 4" in check_pools(settings)) is advises
