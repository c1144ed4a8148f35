"""Fixtures for tests that send mails to a real SMTP server."""

from __future__ import annotations

import email.policy
import json
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from aiosmtpd.controller import Controller

from sandbox.ports import free_ports


class MailServer:
    """A real SMTP server that keeps what it accepts, and refuses what a test tells it to refuse."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.messages: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.refused_addresses: set[str] = set()
        self.refusal = "550 5.1.1 no such user"
        self.refused_subjects: tuple[str, ...] = ()
        self.refusal_of_subjects = "451 4.3.0 come again"
        self.accepted = threading.Event()
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    # aiosmtpd calls these.

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address in self.refused_addresses:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        message = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        if str(message["Subject"]).startswith(self.refused_subjects or ("\0",)):
            return self.refusal_of_subjects
        self.messages.append(message)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.accepted.set()
        return "250 OK"


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server that runs, named by the connection ``srdp_smtp``."""
    server = MailServer()
    connection = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": server.port,
        "extra": {"disable_ssl": True, "disable_tls": True, "timeout": 10, "retry_limit": 0},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_SMTP", json.dumps(connection))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def make_due(ledger_url: str) -> Callable[[], None]:
    """End the waits of all delayed mails."""
    import psycopg

    def due() -> None:
        with psycopg.connect(ledger_url) as connection:
            connection.execute("UPDATE outbox SET next_attempt_at = now()")

    return due
