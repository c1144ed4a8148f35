"""The NGAS client against a server: the one that ``SRDP_TEST_NGAS_URL`` names, or else the embedded one.

The first half holds against any server, the second needs one that does wrong on demand.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
import zlib
from contextlib import ExitStack, suppress
from urllib.parse import unquote, urlsplit

import pytest
import requests
from tests.fetching import OneAnswer, pattern, server_name

from sandbox.ngas.server import NgasServer
from srdp.domain.archiving.upload import FileToArchive
from srdp.domain.archiving.upload import archive as send_to_ngas
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError
from srdp.domain.ngas.archived_files import ArchivedFile
from srdp.domain.ngas.client import FileCheck, NgasClient
from srdp.domain.ngas.proof import prove_archived
from srdp.domain.ngas.status import NgasFileUnavailable, NgasRefused
from srdp.hooks.ngas import NgasHook

pytestmark = pytest.mark.servers

CONNECTION = "srdp_ngas"


def connect(monkeypatch, **fields):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps({"conn_type": "http", **fields}))


@pytest.fixture(scope="module")
def any_ngas(tmp_path_factory):
    """``host:port`` and login of a server."""
    if url := os.environ.get("SRDP_TEST_NGAS_URL"):
        parts = urlsplit(url)
        yield (
            f"{parts.hostname}:{parts.port}",
            (unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
        )
        return
    with NgasServer(tmp_path_factory.mktemp("ngas"), user="vlapipe", password="pass word") as server:
        yield server_name(server), ("vlapipe", "pass word")


@pytest.fixture
def client(any_ngas, monkeypatch):
    server, login = any_ngas
    fields = {"login": login[0], "password": login[1]} if login else {}
    host, port = server.split(":")
    connect(monkeypatch, host=host, port=int(port), **fields)
    return NgasHook(CONNECTION).receiving_client()


@pytest.fixture
def archive(any_ngas):
    """Store bytes under a file ID of its own, by nothing but HTTP, and return the ID."""
    server, login = any_ngas

    def store(data, file_id=None):
        file_id = file_id or f"srdp-test-{uuid.uuid4()}"
        # The server decodes a filename twice, an ID once.
        parameters = {
            "filename": file_id,
            "file_id": file_id,
            "mime_type": "application/octet-stream",
            "crc_variant": "crc32",
        }
        url = f"http://{server}/QARCHIVE"
        reply = requests.post(url, params=parameters, data=data, auth=login, timeout=30)
        assert 'Status="SUCCESS"' in reply.text
        return file_id

    return store


def client_of(server):
    """A client as the connection makes it, of a server that something names."""
    return NgasHook(CONNECTION).clients([server], named_by=lambda _: "the locator report of X")[server]


def read(client, file_id, version=None, offset=0):
    with client.retrieve(file_id, version, offset=offset) as retrieval:
        return retrieval.start, retrieval.size, b"".join(retrieval.blocks())


def test_a_healthy_server(client):
    assert client.health().online


def test_a_file_comes_as_it_was_stored(client, archive):
    data = pattern(3_000_000)
    assert read(client, archive(data)) == (0, len(data), data)


def test_a_file_comes_from_an_offset_on(client, archive):
    data = pattern(100_000)
    assert read(client, archive(data), offset=99_000) == (99_000, 100_000, data[99_000:])


def test_the_latest_version_comes_unless_one_is_named(client, archive):
    file_id = archive(b"first")
    archive(b"second", file_id)
    assert read(client, file_id)[2] == b"second"
    assert read(client, file_id, 1)[2] == b"first"


def test_a_file_that_is_not_there(client):
    for ask in (client.retrieve, client.status, lambda file_id: client.check_file(file_id, 1)):
        with pytest.raises(NgasFileUnavailable, match="not-there"):
            ask("not-there")


def test_what_is_recorded_about_a_file(client, archive):
    data = pattern(1_000)
    file_id = archive(data)
    (file,) = client.status(file_id).files
    assert (file.file_id, file.version, file.size, file.checksum) == (file_id, 1, 1_000, zlib.crc32(data))


def test_a_stored_file_is_checked_by_the_server(client, archive):
    file_id = archive(b"first")
    archive(b"second", file_id)
    assert client.check_file(file_id, 1) is FileCheck.INTACT
    assert client.check_file(file_id, 2) is FileCheck.INTACT


def test_all_versions_of_a_file_are_found_and_no_other_file(client, archive):
    file_id = archive(b"first")
    archive(b"second", file_id)
    archive(b"another", file_id.replace("-", "_"))
    archive(b"another", f"{file_id}x")
    found = client.query_files(file_id.replace("-", "_"))
    assert [file.size for file in found] == [7]
    versions = sorted((file.version, file.size, file.checksum) for file in client.query_files(file_id))
    assert versions == [(1, 5, zlib.crc32(b"first")), (2, 6, zlib.crc32(b"second"))]
    assert client.query_files("not-there") == ()


def test_an_id_with_every_kind_of_character_reaches_the_server(client, archive):
    file_id = f"a b+c%20d&e=f_{uuid.uuid4()}"
    archive(b"data", file_id)
    assert read(client, file_id)[2] == b"data"
    assert [file.file_id for file in client.query_files(file_id)] == [file_id]


class Blocks:
    """A body of 8 bytes in two blocks."""

    def __len__(self):
        return 8

    def __iter__(self):
        yield from (b"some", b"data")


@pytest.fixture
def packed(tmp_path):
    """Make a file of these bytes that is to be archived, under an ID of its own."""

    def make(data, file_id=None):
        path = tmp_path / f"{uuid.uuid4()}.tar"
        path.write_bytes(data)
        file_id = file_id or f"srdp-test-{uuid.uuid4()}"
        return FileToArchive(path, file_id, len(data), zlib.crc32(data), "application/octet-stream")

    return make


def test_a_file_is_archived_once_and_proved(client, packed):
    data = pattern(3_000_000)
    file = packed(data)
    archived = send_to_ngas(client, file).file
    assert archived == ArchivedFile(file.file_id, 1, len(data), zlib.crc32(data))
    assert send_to_ngas(client, file).file == archived
    assert [stored.version for stored in client.query_files(file.file_id)] == [1]
    assert read(client, file.file_id, 1)[2] == data
    prove_archived(client, archived)


def test_each_copy_is_listed_checked_and_fetched_by_its_disk(client, archive, any_ngas):
    server, login = any_ngas
    file_id = archive(b"data")
    cloned = requests.get(f"http://{server}/CLONE", params={"file_id": file_id}, auth=login, timeout=30)
    assert 'Status="SUCCESS"' in cloned.text
    disks = [file.disk_id for file in client.query_files(file_id)]
    if len(disks) < 2:
        pytest.skip("this NGAS has no second volume that a copy could be cloned to")
    assert set(disks) <= set(client.disks())
    for disk_id in disks:
        assert client.check_file(file_id, 1, disk_id=disk_id) is FileCheck.INTACT
        with client.retrieve(file_id, 1, disk_id=disk_id) as retrieval:
            assert b"".join(retrieval.blocks()) == b"data"
    proof = prove_archived(client, ArchivedFile(file_id, 1, 4, zlib.crc32(b"data")))
    assert (sorted(copy.disk_id for copy in proof.copies), proof.damaged) == (sorted(disks), ())


def test_the_node_that_answers_has_one_of_the_disks(client):
    assert client.health().host_id in {disk.host_id for disk in client.disks().values()}


def test_an_id_that_is_taken_is_not_given_another_version(client, packed, archive):
    file_id = archive(b"somebody else's")
    with pytest.raises(IntegrityError, match="something else"):
        send_to_ngas(client, packed(b"ours", file_id))
    assert [stored.version for stored in client.query_files(file_id)] == [1]


def test_another_version_by_somebody_else_ends_the_proof(client, packed, archive):
    file = packed(b"ours")
    archived = send_to_ngas(client, file).file
    archive(b"somebody else's", file.file_id)
    assert client.check_file(file.file_id, 1) is FileCheck.INTACT
    with pytest.raises(IntegrityError, match="something else"):
        prove_archived(client, archived)


def test_other_bytes_than_were_announced_are_not_stored(client):
    file_id = f"srdp-test-{uuid.uuid4()}"
    with pytest.raises(NgasRefused, match="Checksum error"):
        client.archive(file_id, Blocks(), mime_type="application/octet-stream", crc32=1)
    assert client.query_files(file_id) == ()


# From here on: the embedded server.


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", stall_seconds=20) as server:
        yield server


@pytest.fixture
def embedded(ngas):
    return NgasClient(server_name(ngas), stall_seconds=0.5)


def test_a_corrupt_file_is_reported_although_the_server_calls_it_a_success(ngas, embedded):
    ngas.put("a", b"right")
    ngas.put("a", b"wrong")
    ngas.faults.add("corrupt_stored", command="CHECKFILE", bytes=0, times=1)
    assert embedded.check_file("a", 2) is FileCheck.CORRUPT
    assert embedded.check_file("a", 1) is FileCheck.INTACT


def test_a_file_that_was_deleted_from_the_disk_has_a_status_and_no_check(ngas, embedded):
    ngas.put("a", b"data")
    ngas.faults.add("delete_stored", command="STATUS")
    assert embedded.status("a").files[0].size == 4
    with pytest.raises(NgasFileUnavailable):
        embedded.check_file("a", 1)


def test_an_offline_server_is_not_healthy(ngas, embedded):
    ngas.faults.add("offline")
    with pytest.raises(ServiceUnavailable, match="offline"):
        embedded.health()


def test_a_server_that_does_not_answer_is_given_up(ngas, embedded):
    ngas.faults.add("delay", seconds=10)
    with pytest.raises(ServiceUnavailable, match="nothing came in time"):
        embedded.health()


def test_a_wrong_login_is_a_setting_to_be_set_right(tmp_path):
    with NgasServer(tmp_path / "closed", user="vlapipe", password="secret") as closed:
        with pytest.raises(SettingsError, match="login and password"):
            NgasClient(server_name(closed)).health()
        assert closed.requests.count("STATUS", status=401) == 1


def test_a_retrieval_that_is_aborted_ends_at_once_and_one_that_has_ended_does_not_mind(ngas, embedded):
    ngas.put("a", pattern(1_000_000))
    with embedded.retrieve("a") as retrieval:
        assert b"".join(retrieval.blocks()) == pattern(1_000_000)
        retrieval.abort()
    retrieval.abort()
    ngas.faults.add("stall", command="RETRIEVE", bytes=10)
    patient = NgasClient(server_name(ngas), stall_seconds=15)
    with patient.retrieve("a") as retrieval:
        blocks = retrieval.blocks()
        assert next(blocks) == pattern(10)
        threading.Timer(0.01, retrieval.abort).start()
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            next(blocks)
    assert time.monotonic() - started < 5


def test_a_circle_of_redirections_ends(ngas, embedded):
    ngas.put("a", b"data")
    ngas.faults.add("redirect", command="RETRIEVE", url=ngas.url)
    with pytest.raises(NgasRefused, match="circle"):
        embedded.retrieve("a")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host", "http://user@host:1", "http://:7", "http://host:99999", "//x y:1"]
)
def test_a_redirection_to_no_ngas_server_is_not_followed(ngas, embedded, url):
    ngas.put("a", b"data")
    ngas.faults.add("redirect", command="RETRIEVE", url=url)
    with pytest.raises(NgasRefused, match="not the address of an NGAS server"):
        embedded.retrieve("a")


@pytest.fixture
def answering():
    with ExitStack() as servers:
        yield lambda answer: servers.enter_context(OneAnswer(answer))


def test_a_request_is_what_the_real_server_understands(answering, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server = answering(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nContent-Range: bytes 7-8/9\r\n\r\nab")
    connect(monkeypatch, host="127.0.0.1", login="vlapipe", password="secret")
    client = client_of(server.name)
    assert read(client, "a b", 3, 7) == (7, 9, b"ab")
    lines = server.asked[0].decode().split("\r\n")
    assert lines[0].startswith("GET /RETRIEVE?file_id=a%20b&file_version=3 ")
    assert "Range: bytes=7-" in lines
    assert "Connection: close" in lines
    assert "Authorization: Basic dmxhcGlwZTpzZWNyZXQ=" in lines  # at once, without being asked
    assert not any(line.startswith("Expect") for line in lines)


def test_an_upload_is_what_the_real_server_understands(answering, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    reply = b'<NgamsStatus><Status Status="SUCCESS" State="ONLINE" Message=""/></NgamsStatus>'
    server = answering(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
    connect(monkeypatch, host="127.0.0.1", login="vlapipe", password="secret")
    client = client_of(server.name)
    assert client.archive("a.tar", Blocks(), mime_type="application/x-tar", crc32=7).succeeded
    lines = server.asked[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert (
        lines[0]
        == "POST /ARCHIVE?filename=a.tar&file_id=a.tar&mime_type=application%2Fx-tar&crc_variant=crc32 HTTP/1.1"
    )
    assert "Content-Length: 8" in lines
    assert "NGAS-File-CRC: 7" in lines
    assert "Connection: close" in lines
    assert "Authorization: Basic dmxhcGlwZTpzZWNyZXQ=" in lines
    assert not any(line.startswith(("Expect", "Transfer-Encoding")) for line in lines)


def test_an_upload_is_not_sent_on_to_another_server(answering):
    server = answering(b"HTTP/1.0 303 See Other\r\nLocation: http://127.0.0.1:1/ARCHIVE\r\n\r\n")
    with pytest.raises(NgasRefused, match="HTTP 303"):
        NgasClient(server.name).archive("a.tar", Blocks(), mime_type="application/x-tar", crc32=7)
    assert len(server.asked) == 1


def test_a_length_is_not_needed(answering):
    server = answering(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert read(NgasClient(server.name), "a") == (0, None, b"abc")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client: client.health(), r"had not come to an end after 0\.5 s"),
        (lambda client: read(client, "a"), r"[1-9] bytes came in 1 s"),
    ],
)
def test_an_answer_that_trickles_is_not_waited_for(ask, said):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                for _ in range(100):
                    connection.sendall(b" ")
                    time.sleep(0.1)

        threading.Thread(target=trickle, daemon=True).start()
        client = NgasClient(f"127.0.0.1:{listening.getsockname()[1]}", health_seconds=0.5, stall_seconds=0.5)
        with pytest.raises(ServiceUnavailable, match=said):
            ask(client)


@pytest.mark.parametrize("length", [b"9" * 5000, b"-1", b"many"])
def test_a_length_that_is_none_is_not_believed(answering, length):
    server = answering(b"HTTP/1.0 200 OK\r\nContent-Length: " + length + b"\r\n\r\nabc")
    assert read(NgasClient(server.name), "a")[1] is None


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
def test_an_answer_that_is_cut_off_may_heal(answering, answer):
    server = answering(answer)
    with pytest.raises(ServiceUnavailable, match=server.name):
        read(NgasClient(server.name), "a")


@pytest.mark.parametrize("body", [b"", b"null", b"[1]", b'{"a": 1}', b'[{"file_id": "a"}]', b"<x/>", b"[" * 100_000])
def test_a_query_that_answers_something_else_is_refused(answering, body):
    server = answering(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(InvalidInput, match=f"NGAS server {server.name}"):
        NgasClient(server.name).query_files("a")


def test_servers_can_be_reached_at_other_addresses(ngas, monkeypatch):
    ngas.put("a", b"data")
    reached = {"nmngas01.aoc.nrao.edu:7777": server_name(ngas)}
    connect(monkeypatch, extra={"servers": reached, "allowed_hosts": ["nmngas*.aoc.nrao.edu"]})
    assert read(client_of("nmngas01.aoc.nrao.edu:7777"), "a")[2] == b"data"
    assert client_of("nmngas02.aoc.nrao.edu:7777").server == "nmngas02.aoc.nrao.edu:7777"


def test_https_to_a_server_without_it_fails_in_one_sentence(ngas, monkeypatch):
    connect(monkeypatch, host="127.0.0.1", extra={"scheme": "https"})
    client = client_of(server_name(ngas))
    with pytest.raises((SettingsError, ServiceUnavailable), match=server_name(ngas)):
        client.health()


def test_the_connection_can_be_tested_in_the_browser(ngas, monkeypatch):
    connect(monkeypatch, host="127.0.0.1", port=ngas.port)
    assert NgasHook(CONNECTION).test_connection() == (True, f"NGAS server {server_name(ngas)} is online.")
    ngas.faults.add("offline")
    assert NgasHook(CONNECTION).test_connection()[0] is False


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"shceme": "https"}, "shceme"),
        ({"scheme": "ftp"}, "scheme"),
        ({"servers": {"a": "b:1"}}, "servers"),
        ({"stall_seconds": 60}, "stall_seconds"),
        ({"allowed_hosts": ["ngas.example.*"]}, "allowed_hosts"),
        ({"allowed_hosts": "*"}, "allowed_hosts"),
    ],
)
def test_a_wrong_extra_is_reported_by_name(monkeypatch, extra, said):
    connect(monkeypatch, extra=extra)
    with pytest.raises(SettingsError, match=f"{CONNECTION} is wrong at .*{said}"):
        client_of("a:1")


def test_a_connection_that_is_missing_or_names_no_server(monkeypatch):
    with pytest.raises(SettingsError, match="srdp_missing is missing"):
        NgasHook("srdp_missing").receiving_client()
    connect(monkeypatch, login="vlapipe")
    with pytest.raises(SettingsError, match="names no NGAS server"):
        NgasHook(CONNECTION).receiving_client()


def test_the_receiving_server_is_called_what_the_archive_calls_it(monkeypatch):
    extra = {"servers": {"nmngas01.aoc.nrao.edu:7777": "127.0.0.1:17777"}}
    connect(monkeypatch, host="nmngas01.aoc.nrao.edu", port=7777, extra=extra)
    assert NgasHook(CONNECTION).receiving_server() == "nmngas01.aoc.nrao.edu:7777"
    assert NgasHook(CONNECTION).receiving_client().server == "127.0.0.1:17777"
