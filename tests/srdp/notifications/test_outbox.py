from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException

from srdp.domain.common.mail import Mail
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger import Ledger
from srdp.hooks.mail_server import MailServerHook
from srdp.notifications.outbox import send_due_mails
from srdp.operators.mail import SendQueuedMailsOperator

pytestmark = pytest.mark.servers

MAIL = Mail(
    "run_has_begun",
    ("one@example.org", "two@example.org"),
    "Begun: \u03b1 & \u03b2",
    "Plain \u2713\n" + "long " * 400 + "\n.\nafter a dot\n",
    "<p>HTML \u2713</p>",
)


@pytest.fixture
def queue(ledger, open_run):
    """Queues mails for a new run, which they get with its first transition; returns the run's ID."""

    def queued(*mails):
        run = open_run()
        ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=mails or [MAIL])
        return run.pipeline_run_id

    return queued


def test_a_mail_arrives_as_it_was_written(ledger, settings, queue, mail_server):
    run_id = queue()
    report = send_due_mails(ledger, settings)
    assert report.sent == (f"<{run_id}.run_has_begun@srdp.example.org>",)
    assert str(report) == "1 mail(s) sent"
    (message,) = mail_server.messages
    assert mail_server.envelopes == [("do-not-reply@srdp.example.org", list(MAIL.recipients))]
    assert message["Subject"] == MAIL.subject
    assert message["To"] == "one@example.org, two@example.org"
    assert message["Message-ID"] == report.sent[0]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-SRDP-Pipeline-Run"] == run_id
    assert message.get_content_type() == "multipart/alternative"
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n") == MAIL.text
    assert message.get_body(("html",)).get_content().strip() == MAIL.html


def test_a_mail_is_sent_once(ledger, settings, queue, mail_server):
    queue()
    send_due_mails(ledger, settings)
    assert str(send_due_mails(ledger, settings)) == "No mail is due."
    assert len(mail_server.messages) == 1


def test_only_the_mails_of_one_run_are_sent_if_asked(ledger, settings, queue, mail_server):
    queue()
    wanted = queue()
    send_due_mails(ledger, settings, pipeline_run_id=wanted)
    assert [message["X-SRDP-Pipeline-Run"] for message in mail_server.messages] == [wanted]


def test_a_server_that_is_down_delays_and_raises_nothing(ledger, settings, queue, mail_server, make_due):
    run_ids = [queue() for _ in range(3)]
    mail_server.stop()
    report = send_due_mails(ledger, settings)
    # The others were not even tried: each would have waited for the same timeout.
    assert len(report.delayed) == 1
    assert "srdp_smtp) cannot be reached" in report.cause
    assert [mail.attempts for run_id in run_ids for mail in ledger.outbox.mails(run_id)] == [1, 0, 0]
    mail_server.start()
    make_due()
    assert len(send_due_mails(ledger, settings).sent) == 3
    assert len(mail_server.messages) == 3


def test_outage_uses_up_no_attempts_of_a_mail(ledger, settings, queue, mail_server, make_due):
    run_ids = [queue() for _ in range(3)]
    mail_server.stop()
    first = send_due_mails(ledger, settings).away
    make_due()
    again = send_due_mails(ledger, settings)
    assert again.delayed == ()
    assert again.away.since == first.since == ledger.outbox.mail_server_away().since
    assert again.away.waiting == 3
    assert again.away.last_error in str(again)
    assert [mail.attempts for run_id in run_ids for mail in ledger.outbox.mails(run_id)] == [1, 0, 0]
    mail_server.start()
    report = send_due_mails(ledger, settings)
    assert (len(report.sent), report.away, ledger.outbox.mail_server_away()) == (3, None, None)


def test_long_mail_outage_fails_the_sending_task(
    ledger, ledger_url, settings, queue, mail_server, make_due, monkeypatch
):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    run_id = queue()
    mail_server.stop()
    of_all = SendQueuedMailsOperator(task_id="send_mails")
    of_a_run = SendQueuedMailsOperator(task_id="send_mails_of_a_run", pipeline_run_id=run_id)

    def away_for(minutes):
        with psycopg.connect(ledger_url) as connection:
            connection.execute("UPDATE mail_server_away SET since = now() - make_interval(mins => %s)", (minutes,))

    of_all.execute({})
    away_for(9)
    of_all.execute({})
    away_for(25)
    of_a_run.execute({})
    with pytest.raises(
        AirflowFailException, match=r"takes no mail since .* UTC \(25 minutes\), and 1 mail\(s\) wait.*srdp_smtp"
    ):
        of_all.execute({})
    make_due()
    mail_server.start()
    of_all.execute({})
    assert len(mail_server.messages) == 1


def test_a_missing_connection_delays_and_raises_nothing(ledger, settings, queue, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_SMTP", raising=False)
    queue()
    assert "srdp_smtp" in send_due_mails(ledger, settings).cause


def test_a_server_that_hangs_up_delays_and_raises_nothing(ledger, settings, queue, mail_server):
    mail_server.stop()
    queue()
    with socket.create_server(("127.0.0.1", mail_server.port)) as listener:

        def greet_and_hang_up():
            connection, _ = listener.accept()
            connection.sendall(b"220 hello\r\n")
            connection.recv(1000)
            connection.close()

        listening = threading.Thread(target=greet_and_hang_up)
        listening.start()
        report = send_due_mails(ledger, settings)
        listening.join()
    assert len(report.delayed) == 1
    assert "\n" not in report.cause


def test_wrong_connection_extra_fails_nothing(ledger, settings, queue, mail_server, monkeypatch):
    extra = {"disable_ssl": True, "disable_tls": True, "timeout": "soon"}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail_server.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_SMTP", json.dumps(connection))
    queue()
    assert "soon" in send_due_mails(ledger, settings).cause


def test_a_mail_that_is_refused_holds_up_no_other(ledger, settings, queue, mail_server, make_due):
    mail_server.refused_subjects = ("Bad",)
    queue(replace(MAIL, subject="Bad"), replace(MAIL, key="good", subject="Good"))
    report = send_due_mails(ledger, settings)
    assert (len(report.sent), len(report.delayed)) == (1, 1)
    assert "451" in report.cause
    mail_server.refused_subjects = ()
    make_due()
    assert len(send_due_mails(ledger, settings).sent) == 1


# What may pass, and what a server answers that is configured wrongly.
@pytest.mark.parametrize("refusal", ["450 4.2.1 come again", "554 5.7.1 relay access denied", "553 5.1.8 no sender"])
def test_a_recipient_who_is_refused_is_tried_alone(ledger, settings, queue, mail_server, make_due, refusal):
    mail_server.refused_addresses, mail_server.refusal = {"two@example.org"}, refusal
    run_id = queue()
    report = send_due_mails(ledger, settings)
    assert refusal in report.cause
    assert ledger.outbox.mails(run_id)[0].pending == ("two@example.org",)
    make_due()
    send_due_mails(ledger, settings)
    mail_server.refused_addresses = set()
    make_due()
    assert len(send_due_mails(ledger, settings).sent) == 1
    assert [recipients for _, recipients in mail_server.envelopes] == [["one@example.org"], ["two@example.org"]]
    assert len({message["Message-ID"] for message in mail_server.messages}) == 1


def test_all_recipients_refused_delays(ledger, settings, queue, mail_server):
    mail_server.refused_addresses, mail_server.refusal = set(MAIL.recipients), "450 4.2.1 come again"
    queue()
    assert "for no recipient" in send_due_mails(ledger, settings).cause


def refusals(ledger, run_id):
    return [event.details for event in ledger.events.of_run(run_id) if event.event == "mail_refused"]


def test_wrong_address_is_given_up_and_others_get_the_mail(ledger, settings, queue, mail_server, make_due, caplog):
    mail_server.refused_addresses = {"two@example.org"}
    run_id = queue()
    report = send_due_mails(ledger, settings)
    assert (len(report.sent), report.delayed, report.refused) == (2, (), report.sent[:1])
    assert "of 1 a recipient is given up" in str(report)
    mail, _ = ledger.outbox.mails(run_id)
    assert (mail.pending, mail.refused) == ((), {"two@example.org": "550 5.1.1 no such user"})
    assert mail.done_at is not None
    assert refusals(ledger, run_id) == [{"key": MAIL.key, "refused": mail.refused}]
    (reported,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "two@example.org" in reported.getMessage()
    make_due()
    assert str(send_due_mails(ledger, settings)) == "No mail is due."
    assert [recipients for _, recipients in mail_server.envelopes] == [["one@example.org"], ["manager@example.org"]]
    reported = mail_server.messages[1]
    assert reported["Subject"] == f"[SRDP] MAIL NOT DELIVERED to two@example.org: {MAIL.subject}"
    for part in ("plain", "html"):
        text = reported.get_body((part,)).get_content()
        for fact in (
            "two@example.org",
            "550 5.1.1 no such user",
            run_id,
            f"number {mail.outbox_id}",
            "other recipients",
        ):
            assert fact in text


def test_mail_accepted_for_nobody_is_given_up(ledger, settings, queue, mail_server, make_due):
    mail_server.refused_addresses = set(MAIL.recipients)
    run_id = queue()
    report = send_due_mails(ledger, settings)
    assert (len(report.sent), report.delayed, len(report.refused)) == (1, (), 1)
    mail, _ = ledger.outbox.mails(run_id)
    assert (mail.pending, set(mail.refused), mail.done_at) == ((), set(MAIL.recipients), None)
    make_due()
    assert str(send_due_mails(ledger, settings)) == "No mail is due."
    assert ledger.outbox.mails(run_id)[0].attempts == 1


def test_given_up_mail_is_resent_as_documented(ledger, ledger_url, settings, queue, mail_server):
    mail_server.refused_addresses = set(MAIL.recipients)
    run_id = queue()
    send_due_mails(ledger, settings)
    mail_server.refused_addresses = set()
    guide = " ".join((settings.home / "docs" / "operator" / "at-night.md").read_text(encoding="utf-8").split())
    (statement,) = re.findall(r"`(UPDATE outbox SET [^`]*)`", guide)
    with psycopg.connect(ledger_url) as connection:
        connection.execute(statement.replace("…", str(ledger.outbox.mails(run_id)[0].outbox_id)))
    assert len(send_due_mails(ledger, settings).sent) == 1
    assert [recipients for _, recipients in mail_server.envelopes] == [["manager@example.org"], ["name@example.org"]]
    assert ledger.outbox.mails(run_id)[0].done_at is not None


@pytest.mark.parametrize("by_address", [True, False], ids=["an address", "the mail"])
def test_permanent_refusals_are_given_up_after_a_day(
    ledger, ledger_url, settings, queue, mail_server, make_due, by_address
):
    if by_address:
        mail_server.refused_addresses, mail_server.refusal = set(MAIL.recipients), "554 5.7.1 relay access denied"
    else:
        mail_server.refused_subjects, mail_server.refusal_of_subjects = (MAIL.subject[:5],), "550 5.1.0 no sender"
    run_id = queue()
    assert len(send_due_mails(ledger, settings).delayed) == 1
    with psycopg.connect(ledger_url) as connection:
        # Each ten minutes apart.
        connection.execute("UPDATE outbox SET attempts = 148")
    for given_up in (0, 1):
        make_due()
        report = send_due_mails(ledger, settings)
        assert (len(report.delayed), len(report.refused)) == (1 - given_up, given_up)
    (details,) = refusals(ledger, run_id)
    assert set(details["refused"]) == set(MAIL.recipients)


def test_what_may_pass_is_tried_for_ever(ledger, ledger_url, settings, queue, mail_server):
    mail_server.refused_addresses, mail_server.refusal = set(MAIL.recipients), "450 4.2.1 come again"
    queue()
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE outbox SET attempts = 1000")
    assert len(send_due_mails(ledger, settings).delayed) == 1


def test_a_refused_mail_about_no_run_is_given_up_too(ledger, ledger_url, settings, mail_server):
    mail_server.refused_addresses = {"two@example.org"}
    ledger.outbox.queue_mail_without_run("alma_imaging", "manual__1", MAIL)
    assert len(send_due_mails(ledger, settings).refused) == 1
    with psycopg.connect(ledger_url) as connection:
        refused = connection.execute("SELECT refused FROM outbox ORDER BY outbox_id").fetchone()[0]
    assert refused.keys() == {"two@example.org"}
    assert [recipients for _, recipients in mail_server.envelopes] == [["one@example.org"], ["manager@example.org"]]


def test_nobody_is_notified_of_a_refused_mail_that_reports_one(ledger, settings, queue, mail_server):
    mail_server.refused_addresses = {*MAIL.recipients, *settings.operations_managers}
    run_id = queue()
    assert len(send_due_mails(ledger, settings).refused) == 2
    assert [mail.done_at for mail in ledger.outbox.mails(run_id)] == [None, None]


@pytest.mark.parametrize("word", ["=?utf-8?q?x=0D=0ABcc:_all@example.com?=", "=?utf-8?b?DQpCY2M6IGFsbEBhLmNvbQo?="])
def test_no_subject_makes_another_header(ledger, ledger_url, settings, queue, mail_server, word):
    queue()
    with psycopg.connect(ledger_url) as connection:
        # As an earlier release queued it.
        connection.execute("UPDATE outbox SET subject = %s", (f"Begun: {word}",))
    assert len(send_due_mails(ledger, settings).sent) == 1
    (arrived,) = mail_server.messages
    assert arrived["Bcc"] is None
    assert arrived["Subject"] == f"Begun: {word}".replace("=?", "= ?")


POISON = {
    "a sender of two lines": "sender = E'do-not-reply@example.org\\r\\nBcc: all@example.com'",
    "a Message-ID of two lines": "message_id = E'<1@example.org>\\nBcc: all@example.com'",
    "a recipient of two lines": "pending = ARRAY[E'one@example.org>\\r\\nDATA'], recipients = ARRAY['one@example.org']",
    "an address that is no ASCII": "pending = '{\u00f6ne@example.org}', recipients = '{\u00f6ne@example.org}'",
    "an address without an end": "recipients = '{<one@example.org}', pending = '{<one@example.org}'",
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_mail_that_cannot_be_sent_holds_up_no_other_and_is_reported(
    ledger, ledger_url, settings, queue, mail_server, poison
):
    bad = queue()
    with psycopg.connect(ledger_url) as connection:
        connection.execute(f"UPDATE outbox SET {poison}")  # noqa: S608
    good = queue()
    report = send_due_mails(ledger, settings)
    assert report.delayed == ()
    assert len(report.refused) == 1
    about = [(message["X-SRDP-Pipeline-Run"], str(message["Subject"])) for message in mail_server.messages]
    assert (good, MAIL.subject) in about
    (reported,) = (subject for run_id, subject in about if run_id == bad)
    assert reported.startswith("[SRDP] MAIL NOT DELIVERED to ")
    assert all(message["Bcc"] is None for message in mail_server.messages)
    assert len(refusals(ledger, bad)) == 1


def test_a_template_that_is_wrong_holds_up_no_mail(ledger, settings, queue, mail_server, tmp_path):
    mail_server.refused_addresses = {"two@example.org"}
    queue()
    queue()
    without_templates = settings.model_copy(update={"home": tmp_path})
    assert len(send_due_mails(ledger, without_templates).sent) == 2


def test_only_to_whom_a_setting_allows_it_a_mail_goes(ledger, settings, queue, mail_server):
    run_id = queue(replace(MAIL, recipients=("one@example.org", "user@attacker.example")))
    assert len(send_due_mails(ledger, settings).sent) == 1
    assert [recipients for _, recipients in mail_server.envelopes] == [["one@example.org"]]
    assert "attacker" not in mail_server.messages[0]["To"]
    (details,) = refusals(ledger, run_id)
    assert details["refused"].keys() == {"user@attacker.example"}


def test_many_drains_at_once_send_each_mail_once(ledger, settings, queue, mail_server):
    run_ids = [queue() for _ in range(12)]
    together = threading.Barrier(4)

    def drain(_):
        together.wait()
        return send_due_mails(Ledger(settings), settings).sent

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(drain, range(4)))
    assert sorted(sent for report in reports for sent in report) == sorted(
        f"<{run_id}.run_has_begun@srdp.example.org>" for run_id in run_ids
    )
    assert len(mail_server.messages) == 12


def test_mail_killed_before_commit_keeps_its_message_id(ledger, settings, queue, mail_server):
    run_id = queue()
    child = os.fork()
    if child == 0:
        real_send = MailServerHook.send

        def send_and_wait(hook, message, recipients):
            real_send(hook, message, recipients)
            time.sleep(600)

        MailServerHook.send = send_and_wait
        try:
            send_due_mails(Ledger(settings), settings)
        finally:
            os._exit(1)
    assert mail_server.accepted.wait(60)
    # While its sender lives nobody else sends it.
    assert str(send_due_mails(ledger, settings)) == "No mail is due."
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 30
    while not send_due_mails(ledger, settings).sent:
        assert time.monotonic() < deadline, "the mail of a killed sender did not become free"
        time.sleep(0.05)
    assert [message["Message-ID"] for message in mail_server.messages] == [
        f"<{run_id}.run_has_begun@srdp.example.org>"
    ] * 2
    assert len({message["Date"] for message in mail_server.messages}) == 1
    assert str(send_due_mails(ledger, settings)) == "No mail is due."


def test_the_operator_sends_and_never_fails(ledger, settings, queue, mail_server, monkeypatch):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    queue()
    SendQueuedMailsOperator(task_id="send").execute({})
    run_id = queue()
    mail_server.stop()
    SendQueuedMailsOperator(task_id="send_one", pipeline_run_id=run_id).execute({})
    assert len(mail_server.messages) == 1
    assert ledger.outbox.mails(run_id)[0].attempts == 1
