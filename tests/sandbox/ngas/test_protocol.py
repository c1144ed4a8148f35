"""What the real server is known to do, one test a sentence, over a raw socket."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from sandbox.ngas.server import NgasServer

DEADLINE = 10.0


def crc32(data: bytes) -> str:
    return str(zlib.crc32(data))


def rows(client, pattern: str = "%25") -> list[dict]:
    return json.loads(client.get(f"/QUERY?query=files_like&like={pattern}&format=json").body)


def until(condition) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


# HTTP/1.0, one request a connection, port 7777, replies are NgamsStatus XML.


def test_http_1_0_one_request_a_connection(client):
    with client.connect() as connection:
        connection.sendall(client.head("GET", "/STATUS", {"Connection": "keep-alive"}) * 2)
        answer = client.read_all(connection)
    assert (answer.protocol, answer.status) == ("HTTP/1.0", 200)
    assert answer.raw.count(b"HTTP/1.0 200") == 1


def test_replies_are_ngamsstatus_xml_with_an_external_dtd(ngas, client):
    answer = client.archive("a.fits", b"data")
    text = answer.body.decode()
    dtd = f"http://127.0.0.1:{ngas.port}/RETRIEVE?internal=ngamsStatus.dtd"
    assert text.startswith(f'<?xml version="1.0" ?>\n<!DOCTYPE NgamsStatus SYSTEM "{dtd}">\n<NgamsStatus>')
    assert answer.headers["Content-Type"] == "text/xml"
    assert {"Status": "SUCCESS", "State": "ONLINE"}.items() <= dict(answer.element("Status")).items()
    stored = answer.element("DiskStatus/FileStatus")
    assert {
        "FileId": "a.fits",
        "FileVersion": "1",
        "FileSize": "4",
        "Checksum": crc32(b"data"),
        "ChecksumPlugIn": "ngamsGenCrc32",
        "Format": "application/octet-stream",
        "FileStatus": "00000000",
    }.items() <= dict(stored).items()


def test_the_dtd_that_replies_name_cannot_be_loaded(client):
    assert client.get("/RETRIEVE?internal=ngamsStatus.dtd").status == 400


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/RETRIEVE?file_id=none", "NGAMS_ER_UNAVAIL_FILE:4019:"),
        ("/RETRIEVE", "NGAMS_ER_RETRIEVE_CMD:4018:"),
        ("/RETRIEVE?file_id=none&file_version=x", "invalid literal"),
        ("/CHECKFILE?file_id=none", "NGAMS_ER_UNAVAIL_FILE:4019:"),
        ("/CHECKFILE", "Must specify a File ID"),
        ("/QUERY", "Invalid query"),
        ("/QUERY?query=drop_tables", "Invalid query"),
    ],
)
def test_other_failures_are_400_with_a_code(client, target, code):
    answer = client.get(target)
    assert (answer.status, answer.element("Status")["Status"]) == (400, "FAILURE")
    assert answer.message.startswith(code)


# POST /ARCHIVE


def test_checksum_header_mismatch_is_400_and_stores_nothing(ngas, client):
    answer = client.archive("a.fits", b"data", NGAS_File_CRC=crc32(b"date"))
    assert answer.status == 400
    assert answer.message.startswith("Checksum error")
    assert ngas.store.like("%") == []
    assert [path for path in ngas.store.root.rglob("*") if path.is_file() and "fits" in path.name] == []
    assert list((ngas.store.root / "staging").iterdir()) == []


def test_qarchive_the_same_any_volume(client):
    answers = [client.archive(f"{number}.fits", b"data", command="QARCHIVE") for number in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].element("FileStatus")["ChecksumPlugIn"] == "crc32"
    assert len({row["disk_id"] for row in rows(client)}) == 2


# GET /RETRIEVE


# GET /STATUS


def test_status_is_health_and_says_offline(ngas, client):
    assert client.get("/STATUS").element("Status")["State"] == "ONLINE"
    ngas.faults.add("offline")
    status = client.get("/STATUS").element("Status")
    assert (status["Status"], status["State"]) == ("SUCCESS", "OFFLINE")


# GET /CHECKFILE


def test_checkfile_reports_corruption_as_4057_with_http_200(ngas, client):
    ngas.put("a.fits", b"data")
    ngas.faults.add("corrupt_stored", file_id="a.fits", bytes=2, times=1)
    answer = client.get("/CHECKFILE?file_id=a.fits&file_version=1")
    assert (answer.status, answer.element("Status")["Status"]) == (200, "SUCCESS")
    assert answer.message.startswith("NGAMS_ER_FILE_NOK:4057:")
    assert "Inconsistent checksum" in answer.message


def test_checkfile_default_version_is_1_not_the_latest(ngas, client):
    ngas.put("a.fits", b"first")
    ngas.put("a.fits", b"second")
    second = ngas.store.find("a.fits", 2)
    ngas.store.path(second).write_bytes(b"SECOND")
    assert "4056" in client.get("/CHECKFILE?file_id=a.fits").message
    assert "File Version: 1/" in client.get("/CHECKFILE?file_id=a.fits").message
    assert "4057" in client.get("/CHECKFILE?file_id=a.fits&file_version=2").message


# GET /QUERY


def test_query_files_like_gives_all_versions_on_all_disks(ngas, client):
    client.archive("ab.fits", b"1")
    client.archive("ab.fits", b"2", command="QARCHIVE")
    client.archive("b.fits", b"3")
    found = rows(client, "ab%25")
    assert [(row["file_id"], row["file_version"]) for row in found] == [("ab.fits", 1), ("ab.fits", 2)]
    assert {row["disk_id"] for row in found} == set(ngas.store.volumes)
    assert {"checksum": crc32(b"1"), "file_size": 1, "checksum_plugin": "ngamsGenCrc32"}.items() <= found[0].items()


# Versions


def test_also_when_only_the_reply_was_lost(ngas, client):
    ngas.faults.add("reply_lost", command="ARCHIVE", times=1)
    assert client.archive("a.fits", b"data").raw == b""
    assert [row["file_version"] for row in rows(client)] == [1]
    assert client.archive("a.fits", b"data").element("FileStatus")["FileVersion"] == "2"


def test_two_clients_at_once_both_get_success_for_one_row(ngas, client):
    ngas.put("a.fits", b"first")
    ngas.faults.add("slow_commit", seconds=0.2)
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(client.archive("a.fits", b"data"))) for _ in range(2)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(DEADLINE)
    assert [answer.element("Status")["Status"] for answer in answers] == ["SUCCESS", "SUCCESS"]
    assert [answer.element("FileStatus")["FileVersion"] for answer in answers] == ["2", "2"]
    assert [row["file_version"] for row in rows(client)] == [1, 2]


def test_versioning_0_overwrites(client):
    client.archive("a.fits", b"first")
    assert client.archive("a.fits", b"second", more="&versioning=0").element("FileStatus")["FileVersion"] == "1"
    assert client.get("/RETRIEVE?file_id=a.fits").body == b"second"
    assert len(rows(client)) == 1


def test_discard_deletes_nothing_here(ngas, client):
    ngas.put("a.fits", b"data")
    assert client.get("/DISCARD?file_id=a.fits&file_version=1&execute=1").status == 404
    assert client.get("/RETRIEVE?file_id=a.fits").body == b"data"


# Files that are not what the index says


def test_deleted_file_still_answers_status_success(ngas, client):
    ngas.put("a.fits", b"data")
    ngas.store.path(ngas.store.find("a.fits")).unlink()
    answer = client.get("/STATUS?file_id=a.fits")
    assert (answer.status, answer.element("Status")["Status"]) == (200, "SUCCESS")
    assert answer.element("FileStatus")["FileStatus"] == "00000000"


def test_checkfile_of_the_version_finds_a_deleted_file(ngas, client):
    ngas.put("a.fits", b"data")
    ngas.store.path(ngas.store.find("a.fits")).unlink()
    answer = client.get("/CHECKFILE?file_id=a.fits&file_version=1")
    assert (answer.status, "4019" in answer.message) == (400, True)


def test_retrieving_a_deleted_file_gets_an_empty_reply(ngas, client):
    ngas.put("a.fits", b"data")
    ngas.store.path(ngas.store.find("a.fits")).unlink()
    answer = client.get("/RETRIEVE?file_id=a.fits")
    assert (answer.raw, answer.reset) == (b"", False)


def test_truncated_file_has_a_consistent_content_length(ngas, client):
    ngas.put("a.fits", b"0123456789")
    ngas.faults.add("truncate_stored", bytes=6, times=1)
    answer = client.get("/RETRIEVE?file_id=a.fits")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"012345", "6")
    assert client.get("/STATUS?file_id=a.fits").element("FileStatus")["FileSize"] == "10"
    assert "wrong size. Expected: 10/Actual: 6" in client.get("/CHECKFILE?file_id=a.fits").message


# When the server cannot


def test_more_than_10_requests_at_once_503_and_a_reset(ngas, client):
    with contextlib.ExitStack() as held:
        for _ in range(10):
            held.enter_context(client.connect())
        until(lambda: len(ngas._http._served) == 10)
        answer = client.get("/STATUS")
        with client.connect() as late:
            until(lambda: ngas.requests.count("", status=503) == 2)
            late.sendall(client.head("GET", "/STATUS", {}))
            late_answer = client.read_all(late)
    for each in (answer, late_answer):
        assert each.raw == b"HTTP/1.0 503 Service Unavailable\r\n\r\n"
        assert each.reset
    assert (ngas.store.root / "access.jsonl").read_text().count('"status": 503') == 2
    until(lambda: not ngas._http._served)
    assert client.get("/STATUS").status == 200


def test_exactly_10_requests_at_once_are_served(ngas, client):
    with contextlib.ExitStack() as held:
        for _ in range(9):
            held.enter_context(client.connect())
        until(lambda: len(ngas._http._served) == 9)
        assert client.get("/STATUS").status == 200


def test_stalled_closed_silently(tmp_path, client_of):
    with NgasServer(tmp_path / "other", stall_seconds=0.2) as ngas, client_of(ngas).connect() as connection:
        head = client_of(ngas).head("POST", "/ARCHIVE?filename=a.fits&mime_type=a/b", {"Content-Length": "1000"})
        connection.sendall(head + b"half of it")
        assert connection.recv(100) == b""
        assert ngas.store.like("%") == []


def test_stalled_before_the_request_closed_silently(tmp_path, client_of):
    with NgasServer(tmp_path / "other", stall_seconds=0.2) as ngas, client_of(ngas).connect() as connection:
        connection.sendall(b"GET /STA")
        assert connection.recv(100) == b""


def test_stalled_means_60_seconds(tmp_path):
    with NgasServer(tmp_path / "other") as ngas:
        assert ngas.node.stall_seconds == 60


def test_disk_full_reset_or_epipe(ngas, client):
    ngas.faults.add("disk_full", bytes=1000)
    answer = client.archive("a.fits", bytes(4_000_000))
    assert (answer.raw, answer.reset) == (b"", True)
    assert ngas.store.like("%") == []
    assert list((ngas.store.root / "staging").iterdir()) == []


def test_too_large_400_3014(ngas, client):
    ngas.faults.add("too_large", bytes=3)
    answer = client.archive("a.fits", b"data")
    assert answer.status == 400
    assert answer.message.startswith("NGAMS_AL_NO_STO_SETS:3014:ALERT:")


def test_larger_than_the_disk_is_too_large(client):
    assert "3014" in client.archive("a.fits", b"data", Content_Length=str(2**60)).message


def test_client_killed_mid_upload_nothing_stored(ngas, client):
    with client.connect() as connection:
        head = client.head("POST", "/ARCHIVE?filename=a.fits&mime_type=a/b", {"Content-Length": "5000000"})
        connection.sendall(head + bytes(2_500_000))
    until(lambda: [request.seconds for request in ngas.requests if request.seconds])
    assert ngas.store.like("%") == []
    assert list((ngas.store.root / "staging").iterdir()) == []


@contextlib.contextmanager
def process(root: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server in a process of its own, and its port."""
    command = [sys.executable, "-m", "sandbox.ngas", "--root", str(root), "--port", "0", *options]
    include = Path(__file__).parents[3] / "include"
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(include)}
    ) as server:
        try:
            line = server.stderr.readline()
            found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            yield server, int(found[1])
        finally:
            server.kill()


@pytest.mark.servers
def test_killed_mid_upload_nothing_stored(tmp_path, client_of):
    with process(tmp_path) as (server, port):
        client = client_of(port)
        assert client.archive("before.fits", b"data").status == 200
        with client.connect() as connection:
            head = client.head("POST", "/ARCHIVE?filename=a.fits&mime_type=a/b", {"Content-Length": "50000000"})
            connection.sendall(head + bytes(20_000_000))
            until(lambda: any(path.stat().st_size for path in (tmp_path / "staging").iterdir()))
            server.send_signal(signal.SIGKILL)
            server.wait(DEADLINE)
    with process(tmp_path) as (_, port):
        client = client_of(port)
        assert [row["file_id"] for row in rows(client)] == ["before.fits"]
        assert client.get("/RETRIEVE?file_id=before.fits").body == b"data"
        assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.servers
def test_sigterm_ends_it_at_once_even_while_it_serves(tmp_path, client_of):
    with process(tmp_path) as (server, port), client_of(port).connect() as connection:
        connection.sendall(b"GET /STA")
        server.send_signal(signal.SIGTERM)
        assert server.wait(DEADLINE) == 0


# What is to be tried again, and what is not


@pytest.mark.parametrize("target", ["/RETRIEVE?file_id=a.fits", "/ARCHIVE?filename=b.fits&mime_type=a/b"])
def test_offline_is_4015(ngas, client, target):
    ngas.put("a.fits", b"data")
    ngas.faults.add("offline")
    answer = client.get(target) if "RETRIEVE" in target else client.ask("POST", target, b"data")
    assert answer.status == 400
    assert answer.message.startswith("NGAMS_ER_IMPROPER_STATE:4015:")
    assert answer.element("Status")["State"] == "OFFLINE"


def test_authorization_is_preemptive_and_401_has_no_challenge(tmp_path, client_of):
    with NgasServer(tmp_path / "other", user="vlapipe", password="a:b") as ngas:
        client = client_of(ngas)
        for refused in ({}, {"Authorization": "Basic !"}, {"Authorization": "Basic " + encoded("vlapipe:a")}):
            answer = client.get("/STATUS", **refused)
            assert answer.status == 401
            assert "WWW-Authenticate" not in answer.headers
        assert client.get("/STATUS", Authorization="Basic " + encoded("vlapipe:a:b")).status == 200


def encoded(credentials: str) -> str:
    return base64.b64encode(credentials.encode()).decode()


def test_a_file_on_another_node_is_303(ngas, client):
    ngas.put("a.fits", b"data")
    ngas.faults.add("redirect", file_id="a.fits", url="http://127.0.0.1:1")
    answer = client.get("/RETRIEVE?file_id=a.fits&file_version=1")
    assert answer.status == 303
    assert answer.headers["Location"] == "http://127.0.0.1:1/RETRIEVE?file_id=a.fits&file_version=1"


def test_expect_100_continue_is_never_answered(ngas, client):
    with client.connect() as connection:
        head = {"Content-Length": "4", "Expect": "100-continue"}
        connection.sendall(client.head("POST", "/ARCHIVE?filename=a.fits&mime_type=a/b", head))
        until(lambda: len(ngas.requests))
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        connection.settimeout(DEADLINE)
        connection.sendall(b"data")
        assert connection.recv(65536).startswith(b"HTTP/1.0 200")


def test_file_id_is_varchar_64(ngas, client):
    assert client.archive("i" * 64, b"data").status == 200
    answer = client.archive("i" * 65, b"data")
    assert answer.status == 400
    assert "value too long for type character varying(64)" in answer.message
    assert len(ngas.store.like("%")) == 1


# Checksums


@pytest.mark.parametrize("name", ["crc32", "crc32z", "ngamsGenCrc32", "StreamCrc32", "0", "2"])
def test_all_names_but_one_are_zlibs_crc32(client, name):
    data = b"The quick brown fox"
    target = f"/ARCHIVE?filename=a.fits&mime_type=a/b&crc_variant={name}"
    assert client.ask("POST", target, data).element("FileStatus")["Checksum"] == crc32(data)


def test_old_records_are_signed_and_are_compared_modulo_2_to_32(ngas, client):
    data = b"data"
    assert zlib.crc32(data) >= 2**31
    ngas.put("old.fits", data, signed=True)
    recorded = int(client.get("/STATUS?file_id=old.fits").element("FileStatus")["Checksum"])
    assert recorded == zlib.crc32(data) - 2**32
    assert "4056" in client.get("/CHECKFILE?file_id=old.fits").message


def test_crc32c_is_castagnoli(client):
    target = "/ARCHIVE?filename=a.fits&mime_type=a/b&crc_variant=crc32c"
    stored = client.ask("POST", target, b"123456789").element("FileStatus")
    assert (stored["Checksum"], stored["ChecksumPlugIn"]) == (str(0xE3069283), "crc32c")
    assert "4056" in client.get("/CHECKFILE?file_id=a.fits").message


# What is stored stays


def test_a_restart_keeps_everything(tmp_path, client_of):
    for version in ("1", "2"):
        with NgasServer(tmp_path / "kept") as ngas:
            assert client_of(ngas).archive("a.fits", b"data").element("FileStatus")["FileVersion"] == version
    with NgasServer(tmp_path / "kept") as ngas:
        assert client_of(ngas).get("/RETRIEVE?file_id=a.fits&file_version=1").body == b"data"


def test_a_large_file_comes_back_as_it_was(ngas, client):
    data = os.urandom(5_000_001)
    assert client.archive("a.fits", data, NGAS_File_CRC=crc32(data)).status == 200
    assert client.get("/RETRIEVE?file_id=a.fits").body == data
    assert client.get("/RETRIEVE?file_id=a.fits", Range="bytes=4999999-").body == data[4999999:]


@pytest.mark.parametrize(
    "file_id", ["..", ".", "a/b", "../../../etc/passwd", "a/../../../../../out", "a'b\"c;--", "ü" * 64, "a\x01b"]
)
def test_no_file_id_leaves_its_directory(ngas, client, file_id):
    target = f"/ARCHIVE?filename=f&mime_type=a/b&file_id={quote(file_id, safe='')}"
    assert client.ask("POST", target, b"data").element("Status")["Status"] == "SUCCESS"
    stored = ngas.store.find(file_id)
    place = ngas.store.path(stored).resolve()
    assert place.is_relative_to(ngas.store.root / stored.disk_id)
    assert client.get(f"/RETRIEVE?file_id={quote(file_id, safe='')}").body == b"data"


def test_archive_by_get_reads_no_file_of_the_server(ngas, client):
    assert client.get("/ARCHIVE?filename=/etc/passwd&mime_type=text/plain").status == 411
    assert ngas.store.like("%") == []


def test_an_upload_that_ends_early_is_4070(ngas, client):
    with client.connect() as connection:
        head = client.head("POST", "/ARCHIVE?filename=a.fits&mime_type=a/b", {"Content-Length": "10"})
        connection.sendall(head + b"half")
        connection.shutdown(socket.SHUT_WR)
        assert client.read_all(connection).message.startswith("NGAMS_ER_ARCH_RECV:4070")
    assert ngas.store.like("%") == []
