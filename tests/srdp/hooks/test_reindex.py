"""How the archive is asked to index again, against real HTTP servers and real PostgreSQL."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import psycopg
import pytest
from tests.fetching import OneAnswer

from sandbox.ports import free_ports
from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError, SrdpError
from srdp.hooks import reindex as reindex_module
from srdp.hooks.reindex import ReindexDrain, ReindexHook

SECRET = "s3cret"
ENDLESS = 10**9


class Indexer(ThreadingHTTPServer):
    """Answers every POST with one status and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status, self.headers, self.length = 200, {}, 0
        self.asked: list[tuple[str, object, str | None]] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, json.loads(body), self.headers["Authorization"]))
        self.send_response(self.server.status, SECRET)
        for name, value in ({"Content-Length": str(self.server.length)} | self.server.headers).items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(("GET " + self.path, None, None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture
def indexer():
    server = Indexer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def hook(settings, indexer):
    return asking(settings, "http", f"{indexer.url}/index?key={SECRET}")


def asking(settings, how, url=""):
    return ReindexHook(settings.model_copy(update={"reindex": how, "reindex_url": url}))


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_project_is_posted_as_json(hook, indexer, status):
    indexer.status = status
    hook.request("13A-537")
    assert indexer.asked == [(f"/index?key={SECRET}", {"project": "13A-537"}, None)]


def test_the_project_is_filled_into_the_address_and_a_login_is_used(settings, indexer):
    url = indexer.url.replace("//", f"//indexer:{SECRET}@")
    asking(settings, "http", url + "/{other}/{project}/index").request("2019.1.00123.S")
    ((path, body, login),) = indexer.asked
    assert (path, body) == ("/%7Bother%7D/2019.1.00123.S/index", {"project": "2019.1.00123.S"})
    assert login.startswith("Basic ")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, ServiceUnavailable),
        (503, ServiceUnavailable),
        (429, ServiceUnavailable),
        (401, SettingsError),
        (403, SettingsError),
        (404, SrdpError),
        (400, SrdpError),
    ],
)
def test_what_is_not_taken_is_a_sentence_without_the_address(hook, indexer, status, error):
    indexer.status = status
    with pytest.raises(error, match=f"'13A-537'.*HTTP {status}") as caught:
        hook.request("13A-537")
    assert type(caught.value) is error
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirection_is_followed(hook, indexer, status):
    indexer.status, indexer.headers = status, {"Location": f"http://localhost:{indexer.server_port}/stolen?{SECRET}"}
    with pytest.raises(SettingsError, match=f"HTTP {status}, a redirection") as caught:
        hook.request("13A-537")
    assert SECRET not in str(caught.value)
    assert len(indexer.asked) == 1


def test_the_environment_adds_no_proxy_and_no_login(hook, indexer, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with OneAnswer() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.name}")
        hook.request("13A-537")
        assert proxy.asked == []
    assert indexer.asked == [(f"/index?key={SECRET}", {"project": "13A-537"}, None)]


def test_an_endless_answer_is_not_read(hook, indexer):
    indexer.length = ENDLESS
    begun = time.monotonic()
    hook.request("13A-537")
    assert time.monotonic() - begun < 5


def test_a_service_that_never_answers_is_given_up(settings, monkeypatch):
    monkeypatch.setattr(reindex_module, "_ANSWER_SECONDS", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        hook = asking(settings, "http", f"http://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(ServiceUnavailable, match="did not answer: ReadTimeout") as caught:
            hook.request("13A-537")
    assert SECRET not in str(caught.value)


def test_a_service_that_is_not_there_is_named_by_its_host(settings):
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1 .*ConnectionError") as caught:
        asking(settings, "http", f"http://u:{SECRET}@127.0.0.1:{free_ports(1)[0]}/{SECRET}").request("13A-537")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["", "http:///path", "http://[::1", "http://a:b:c/", f"http://{'a' * 64}.example/"])
def test_an_address_that_is_none_is_a_setting_to_set(settings, url):
    with pytest.raises(SettingsError, match="SRDP_REINDEX_URL is not the address of a host"):
        asking(settings, "http", url).request("13A-537")


@pytest.mark.parametrize("project", ["", "a/b", "a b", "13A-537\n", "x" * 65, "a\0", "'; --"])
@pytest.mark.parametrize("how", ["http", "sql"])
def test_what_is_no_project_code_goes_nowhere(settings, indexer, monkeypatch, how, project):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE", raising=False)
    with pytest.raises(InvalidInput, match="is not a project code"):
        asking(settings, how, indexer.url).request(project)
    assert indexer.asked == []


def test_off_asks_nobody(settings, indexer, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE", raising=False)
    hook = asking(settings, "off", indexer.url)
    hook.request("13A-537")
    assert (hook.is_on, indexer.asked) == (False, [])


def test_the_check_asks_nobody_and_wants_an_address(settings, indexer):
    assert "off" in asking(settings, "off").check()
    assert "database" in asking(settings, "sql").check()
    said = asking(settings, "http", f"{indexer.url}/?key={SECRET}").check()
    assert "127.0.0.1" in said
    assert SECRET not in said
    with pytest.raises(SettingsError, match="SRDP_REINDEX_URL"):
        asking(settings, "http").check()
    assert indexer.asked == []


def test_a_drain_knows_whether_the_archive_is_away(hook, indexer):
    drain = ReindexDrain(hook)
    request = SimpleNamespace(project="13A-537", pipeline_run_id="vla-20261122-182453-4f7k")
    assert (drain.send(request), drain.away, drain.refused) == (None, False, False)
    indexer.status = 404
    assert "HTTP 404" in drain.send(request)
    assert (drain.away, drain.refused) == (False, True)  # the next project may be known
    indexer.status = 200
    assert (drain.send(request), drain.refused) == (None, False)
    indexer.status = 503
    assert "HTTP 503" in drain.send(request)
    assert (drain.away, drain.refused) == (True, False)
    indexer.status = 403
    assert "HTTP 403" in drain.send(request)
    assert (drain.away, drain.refused) == (True, True)


@pytest.mark.servers
def test_a_row_is_left_once_with_its_newest_time(settings, archive_url):
    hook = asking(settings, "sql")
    hook.request("13A-537")
    (first,) = rows(archive_url)
    hook.request("13A-537")
    (second,) = rows(archive_url)
    assert (first[0], second[0]) == ("13A-537", "13A-537")
    assert second[1] > first[1]


@pytest.mark.servers
def test_a_project_that_the_archive_does_not_have_is_named(settings, archive_url):
    with pytest.raises(InvalidInput, match="The archive has no project '99Z-999'"):
        asking(settings, "sql").request("99Z-999")
    assert rows(archive_url) == []


def rows(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT project_code, requested_at FROM reindex_request").fetchall()
