from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.fetching import LOCATOR, OneAnswer, report_document

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError, SrdpError
from srdp.hooks.locator import LocatorHook

pytestmark = pytest.mark.servers

REPORT = json.dumps(report_document({"ASDM.xml": b"<ASDM/>"}, "nmngas01:7777")).encode()


class Service(ThreadingHTTPServer):
    """Gives the answers that a test lays down, one after the other, the last forever."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = [(200, REPORT)]
        self.asked = []
        self.headers = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/service/location"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        self.server.asked.append((parts.path, parse_qs(parts.query)))
        self.server.headers.append(dict(self.headers))
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:
            return  # closes without a reply
        self.send_response(status)
        if status in range(300, 400):
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body) if body is not None else 100))
        self.end_headers()
        self.wfile.write(body if body is not None else b"cut")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def service(monkeypatch):
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_LOCATOR", json.dumps({"conn_type": "http", "host": server.url}))
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def hook():
    return LocatorHook("srdp_locator", attempts=3, first_wait_seconds=0.001)


@pytest.fixture(autouse=True)
def no_chance(monkeypatch):
    """Without the second that is added by chance to a wait."""
    monkeypatch.setattr("random.uniform", lambda low, _: low)


def test_the_report_of_a_locator(service, hook):
    report = hook.report(LOCATOR)
    assert [file.ngas_file_id for file in report.files] == ["ASDM.xml"]
    assert service.asked == [("/service/location", {"locator": [LOCATOR]})]


def test_a_connection_of_host_and_port(service, hook, monkeypatch):
    connection = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": service.server_port}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LOCATOR", json.dumps(connection))
    assert hook.report(LOCATOR).aggregate_size == 7
    assert service.asked[0][0] == "/"


def test_an_unknown_locator_is_one_sentence_and_asked_once(service, hook):
    service.answers = [(404, b"not found")]
    with pytest.raises(InvalidInput, match=f"knows no files of {LOCATOR}: ask the archive's operators"):
        hook.report(LOCATOR)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "answer", [(503, b""), (500, b"oops"), (502, b""), (504, b""), (429, b""), (0, b""), (200, None)]
)
def test_what_may_heal_is_asked_again(service, hook, answer):
    service.answers = [answer, answer, (200, REPORT)]
    assert hook.report(LOCATOR).aggregate_size == 7
    assert len(service.asked) == 3


def test_what_does_not_heal_is_unavailable(service, hook):
    service.answers = [(503, b"")]
    with pytest.raises(ServiceUnavailable, match="HTTP 503"):
        hook.report(LOCATOR)
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(401, SettingsError), (403, SettingsError), (400, SrdpError), (410, SrdpError)]
)
def test_what_does_not_heal_is_asked_once(service, hook, status, kind):
    service.answers = [(status, b"")]
    with pytest.raises(kind, match=f"HTTP {status}"):
        hook.report(LOCATOR)
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed_with_the_login(service, hook, monkeypatch, status):
    connection = {"conn_type": "http", "host": service.url, "login": "vlapipe", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LOCATOR", json.dumps(connection | {"extra": {"X-Key": "secret"}}))
    with OneAnswer(host="127.0.0.2") as foreign:
        service.answers = [(status, f"http://{foreign.name}/".encode())]
        with pytest.raises(SettingsError, match=f"HTTP {status} .*a redirection to 'http://{foreign.name}/'"):
            hook.report(LOCATOR)
        assert foreign.asked == []
    assert (len(service.asked), service.headers[0]["X-Key"]) == (1, "secret")


def test_the_environment_adds_no_proxy_and_no_login(service, hook, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with OneAnswer() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.name}")
        hook.report(LOCATOR)
        assert proxy.asked == []
    assert "Authorization" not in service.headers[0]


def test_a_report_that_is_not_usable_is_asked_for_once(service, hook):
    service.answers = [(200, b"<html>")]
    with pytest.raises(InvalidInput, match="is not usable"):
        hook.report(LOCATOR)
    assert len(service.asked) == 1


def test_a_service_that_is_not_there(service, hook, monkeypatch):
    with Service() as gone:
        url = gone.url
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LOCATOR", json.dumps({"conn_type": "http", "host": url}))
    with pytest.raises(ServiceUnavailable, match="could not be asked"):
        hook.report(LOCATOR)


def test_a_connection_that_is_missing_or_empty(hook, monkeypatch):
    with pytest.raises(SettingsError, match="srdp_missing is missing"):
        LocatorHook("srdp_missing").report(LOCATOR)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LOCATOR", json.dumps({"conn_type": "http"}))
    with pytest.raises(SettingsError, match="set schema, host and port"):
        hook.report(LOCATOR)
