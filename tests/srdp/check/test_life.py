"""What `srdp-health` finds in the ledger and in the areas; what it finds in Airflow is in tests/e2e/test_health.py."""

from __future__ import annotations

import psycopg
import pytest

import srdp.hooks.heartbeat as heartbeat_module
from srdp import health
from srdp.check.life import check_area, check_heartbeat, check_outbox
from srdp.domain.common.errors import SrdpError
from srdp.domain.common.mail import Mail
from srdp.domain.runs.areas import MARKER
from srdp.hooks.heartbeat import ARCHIVE_ASKED, MAILS, OUTBOX_ASKED, WATCH, beat, heartbeats
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.observations import DecideObservationsOperator
from srdp.settings import Settings
from srdp.triggers.due_work import DueMailTrigger
from srdp.triggers.observations import ObservationTrigger

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _no_beat_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_module, "_last", {})


def move(ledger_url: str, interval: str) -> None:
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE heartbeat SET beat_at = clock_timestamp() + %s::interval", (interval,))


def installed(ledger_url: str, ago: str) -> None:
    """Let the ledger be that old: the one that tests copy was made when the first of them wanted it."""
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE schema_version SET applied_at = clock_timestamp() - %s::interval", (ago,))


def test_silent_watcher_is_reported(settings, ledger_url):
    beat(settings, ARCHIVE_ASKED)
    assert check_heartbeat(settings, ARCHIVE_ASKED) == "done in the last 0 min."
    move(ledger_url, "-6 min")
    with pytest.raises(
        SrdpError, match="it was not done for 6 min: look at the triggerer's log, and whether watch_obs"
    ):
        check_heartbeat(settings, ARCHIVE_ASKED)


def test_stuck_dag_is_reported_although_its_watcher_runs(settings, ledger_url, monkeypatch):
    beat(settings, MAILS)
    move(ledger_url, "-16 min")
    assert check_heartbeat(settings, MAILS) == "done in the last 16 min."
    move(ledger_url, "-21 min")
    beat(settings, OUTBOX_ASKED)
    with pytest.raises(SrdpError, match="it was not done for 21 min: look at send_mails_and_reconcile in Airflow"):
        check_heartbeat(settings, MAILS)


def test_fresh_installation_has_some_minutes_of_grace(settings, ledger_url):
    installed(ledger_url, "0 min")
    assert check_heartbeat(settings, WATCH) == "done in the last 0 min."
    installed(ledger_url, "21 min")
    with pytest.raises(SrdpError, match="it was not done for 21 min"):
        check_heartbeat(settings, WATCH)


def test_clock_set_back_an_hour_is_reported_at_once(settings, ledger_url, monkeypatch):
    beat(settings, MAILS)
    move(ledger_url, "1 hour")
    with pytest.raises(SrdpError, match=r"60 min ahead of the present time.*a clock was set back"):
        check_heartbeat(settings, MAILS)
    # What continues in spite of it is alive.
    monkeypatch.setattr(heartbeat_module, "_last", {})
    beat(settings, MAILS)
    assert "done in the last 0 min" in check_heartbeat(settings, MAILS)


def test_frequent_checks_do_not_write_each_time(settings, ledger_url):
    beat(settings, WATCH)
    move(ledger_url, "-1 hour")
    beat(settings, WATCH)
    assert heartbeats(settings)[WATCH] > 3000


def given(ledger_url: str) -> set[str]:
    with psycopg.connect(ledger_url) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM heartbeat")}


def test_who_watches_and_who_sends_give_a_sign_of_life(settings, ledger_url, new_archive, as_connection, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(new_archive))
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    look = ObservationTrigger().looker()
    # The first look sets the watermark.
    look(0.0)
    look(1.0)
    assert given(ledger_url) == {ARCHIVE_ASKED}
    # The mails of one run are no drain of the outbox.
    SendQueuedMailsOperator(task_id="one", pipeline_run_id="vla-20261122-182453-4f7k").run_step({})
    assert given(ledger_url) == {ARCHIVE_ASKED}
    SendQueuedMailsOperator(task_id="all").run_step({})
    assert given(ledger_url) == {ARCHIVE_ASKED, MAILS}
    DecideObservationsOperator(task_id="decide").run_step({})
    assert given(ledger_url) == {ARCHIVE_ASKED, MAILS, WATCH}
    DueMailTrigger().looker()(0.0)
    assert given(ledger_url) == {ARCHIVE_ASKED, MAILS, WATCH, OUTBOX_ASKED}


def test_a_watch_that_gets_no_answer_of_the_archive_gives_none(settings, ledger_url, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", "postgresql://a:b@127.0.0.1:1/none")
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    with pytest.raises(SrdpError):
        ObservationTrigger().looker()(0.0)
    assert given(ledger_url) == set()


def test_a_mail_that_waits_for_too_long_is_reported(settings, ledger, ledger_url):
    assert check_outbox(settings) == "0 mail(s) wait, the oldest for 0 min."
    ledger.outbox.queue_mail_without_run(
        "a_dag", "a run", Mail("a_key", ("one@example.org",), "Subject", "text", "<p>x</p>")
    )
    assert check_outbox(settings) == "1 mail(s) wait, the oldest for 0 min."
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE outbox SET queued_at = now() - interval '16 min'")
    with pytest.raises(SrdpError, match=r"1 mail\(s\) wait, the oldest for 16 min: see the mail server"):
        check_outbox(settings)


def test_an_area_that_is_lost_is_named(settings: Settings):
    assert check_area(settings, "SRDP_QA_AREA") == "it is there."
    (settings.qa_area / MARKER).unlink()
    with pytest.raises(SrdpError, match="is empty, perhaps because its file system is not mounted"):
        check_area(settings, "SRDP_QA_AREA")


def test_settings_that_are_wrong_are_one_line(monkeypatch, capsys):
    monkeypatch.setenv("SRDP_HEALTH_OUTBOX_MINUTES", "soon")
    assert health.main([]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("CRITICAL  settings: ")


def test_who_has_no_login_learns_which_connection_to_make(settings, ledger_url, monkeypatch, capsys):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    installed(ledger_url, "0 min")
    beat(settings, WATCH)
    beat(settings, MAILS)
    assert health.main(["--quiet"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["CRITICAL  components", "CRITICAL  tasks", "WARNING   DAGs"]
    assert all("The Airflow connection srdp_airflow is missing: make it" in line for line in lines)
