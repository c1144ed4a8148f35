"""Where the NGAS login goes, and that nothing at all goes anywhere else, against real servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.fetching import OneAnswer

from srdp.domain.common.errors import ServiceUnavailable, SettingsError
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.status import NgasRefused
from srdp.domain.site.allowed_hosts import AllowedHosts
from srdp.hooks.ngas import NgasHook

pytestmark = pytest.mark.servers

LOGIN = b"Authorization: Basic dmxhcGlwZTpzZWNyZXQ="
FOUND = b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ndata"
COMMANDS = {
    "RETRIEVE": lambda client: client.retrieve("a b+c"),
    "CHECKFILE": lambda client: client.check_file("a b+c", 1),
    "STATUS": lambda client: client.health(),
    "QUERY": lambda client: client.query_files("a b+c"),
}


def connect(monkeypatch: pytest.MonkeyPatch, **extra: object) -> None:
    """A connection to a server of 127.0.0.1, with a login."""
    connection = {"conn_type": "http", "host": "127.0.0.1", "login": "vlapipe", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))


def client_of(server: str) -> NgasClient:
    return NgasHook("srdp_ngas").clients([server], named_by=lambda _: "the locator report of X")[server]


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def foreign(servers: ExitStack) -> OneAnswer:
    """A server on a host without a name."""
    return servers.enter_context(OneAnswer(FOUND, host="127.0.0.2"))


def sending_on(servers: ExitStack, location: str) -> OneAnswer:
    """A server that sends every request on."""
    return servers.enter_context(OneAnswer(f"HTTP/1.0 303 See Other\r\nLocation: {location}\r\n\r\n".encode()))


def test_a_server_that_a_report_names_and_nobody_has_listed_is_sent_nothing(monkeypatch, foreign) -> None:
    connect(monkeypatch)
    with pytest.raises(SettingsError, match=r"which the locator report of X names.*srdp_ngas") as caught:
        client_of(foreign.name)
    assert foreign.name in str(caught.value)
    connect(monkeypatch, allowed_hosts=["127.0.0.2"])
    assert b"".join(client_of(foreign.name).retrieve("a").blocks()) == b"data"
    assert [LOGIN in request for request in foreign.asked] == [True]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_redirection_to_a_host_that_nobody_has_listed_is_not_followed(monkeypatch, servers, foreign, command) -> None:
    connect(monkeypatch)
    server = sending_on(servers, f"http://{foreign.name}{{target}}")
    with pytest.raises(SettingsError, match=f"{foreign.name}.*{server.name}, asked for {command}.*srdp_ngas"):
        COMMANDS[command](client_of(server.name))
    assert foreign.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "http://{other}/RETRIEVE?file_id=another",
        "http://{other}/RETRIEVE?file_id=a%20b%2Bc&file_version=1",
        "http://{other}/ARCHIVE?file_id=a%20b%2Bc",
        "http://{other}/RETRIEVE/?file_id=a%20b%2Bc",
        "http://{other}/",
        "https://{other}/RETRIEVE?file_id=a%20b%2Bc",
    ],
)
def test_a_redirection_changes_the_host_and_nothing_else(monkeypatch, servers, foreign, location) -> None:
    connect(monkeypatch, allowed_hosts=["127.0.0.2"])
    server = sending_on(servers, location.format(other=foreign.name))
    with pytest.raises(NgasRefused, match="would change more than the server that is asked"):
        client_of(server.name).retrieve("a b+c")
    assert foreign.asked == []


def test_tls_is_not_given_up_for_a_redirection(monkeypatch, servers, foreign) -> None:
    connect(monkeypatch, allowed_hosts=["127.0.0.2"], scheme="https")
    with pytest.raises(NgasRefused, match="would change more"):
        client_of("127.0.0.1:1")._sent_on("https://127.0.0.1:1/STATUS", f"http://{foreign.name}/STATUS", "STATUS")


@pytest.mark.parametrize("query", ["file_id=a%20b%2Bc", "file_id=a%20b+c"])
def test_a_redirection_to_a_listed_host_asks_the_same_with_the_same_login(monkeypatch, servers, foreign, query) -> None:
    connect(monkeypatch, allowed_hosts=["127.0.0.2"])
    server = sending_on(servers, f"http://{foreign.name}/RETRIEVE?{query}")
    assert b"".join(client_of(server.name).retrieve("a b+c").blocks()) == b"data"
    first, second = server.asked[0], foreign.asked[0]
    assert first.replace(server.name.encode(), foreign.name.encode()) == second
    assert LOGIN in second


@pytest.mark.parametrize(
    "host", ["user@{name}", "127.0.0.1@{name}", "127.0.0.1:1@{name}", "[::1]:1", "{name}0000", "é:1"]
)
def test_a_redirection_to_what_is_no_server_leads_nowhere(monkeypatch, servers, foreign, host) -> None:
    connect(monkeypatch, allowed_hosts=["127.0.0.2"])
    server = sending_on(servers, f"http://{host.format(name=foreign.name)}{{target}}")
    with pytest.raises(NgasRefused, match="not the address of an NGAS server"):
        client_of(server.name).health()
    assert foreign.asked == []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What a name server answers for a name of example.org, one answer after the other, the last forever."""
    answers: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def answer(host: str, port: int, *arguments: object, **options: object) -> list[tuple[object, ...]]:
        if found := answers.get(host):
            host = found.pop(0) if len(found) > 1 else found[0]
        return resolve(host, port, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return answers


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_listed_name_that_leads_to_this_machine_is_not_connected_to(monkeypatch, servers, names, scheme) -> None:
    here = servers.enter_context(OneAnswer(FOUND))
    names["ngas.example.org"] = ["127.0.0.1"]
    hosts = AllowedHosts(["*.example.org"])
    client = NgasClient(f"ngas.example.org:{here.port}", scheme=scheme, hosts=hosts)
    with pytest.raises(SettingsError, match=r"ngas\.example\.org leads to 127\.0\.0\.1"):
        client.health()
    assert here.asked == []


def test_a_listed_name_that_can_be_none_is_one_sentence() -> None:
    client = NgasClient(f"ngas{'s' * 80}.example.org:7777", hosts=AllowedHosts(["ngas*.example.org"]))
    with pytest.raises(ServiceUnavailable, match="failed at STATUS: label"):
        client.health()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_elsewhere_between_look_and_connection_is_sent_nothing(
    monkeypatch, servers, names, scheme
) -> None:
    here = servers.enter_context(OneAnswer(FOUND))
    names["ngas.example.org"] = ["192.0.2.1", "127.0.0.1"]
    hosts = AllowedHosts(["*.example.org"])
    client = NgasClient(f"ngas.example.org:{here.port}", scheme=scheme, hosts=hosts)
    with pytest.raises(SettingsError, match=r"ngas\.example\.org leads to 127\.0\.0\.1"):
        client.health()
    assert set(here.asked) <= {b""}  # connected, and closed without a byte


def test_it_may_lead_there_if_that_address_is_listed(servers, names) -> None:
    here = servers.enter_context(OneAnswer(FOUND))
    names["ngas.example.org"] = ["127.0.0.1"]
    client = NgasClient(f"ngas.example.org:{here.port}", hosts=AllowedHosts(["*.example.org", "127.0.0.1"]))
    assert b"".join(client.retrieve("a").blocks()) == b"data"


def test_nobody_elses_login_and_no_proxy_come_from_the_environment(monkeypatch, servers, tmp_path) -> None:
    proxy = servers.enter_context(OneAnswer(FOUND))
    here = servers.enter_context(OneAnswer(FOUND))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.name}")
    monkeypatch.setenv("NETRC", str(netrc))
    NgasClient(here.name).retrieve("a")
    assert proxy.asked == []
    assert b"Authorization" not in here.asked[0]
