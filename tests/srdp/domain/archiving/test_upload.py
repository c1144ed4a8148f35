"""A file into NGAS, exactly once, from a server that is, refuses and dies; counted at the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from tests import killing
from tests.fetching import StallingServer, pattern, server_name

from sandbox.ngas.call import Configuration
from sandbox.ngas.server import NgasServer
from srdp.domain.archiving import upload as archive_upload
from srdp.domain.archiving.upload import FileToArchive, archive
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError
from srdp.domain.files.storage import LocalFilesError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.ngas.archived_files import ArchivedFile
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.proof import prove_archived
from srdp.domain.ngas.status import NgasRefused, NgasStorageFull
from srdp.domain.runs.retry import RequestRetryPolicy

pytestmark = pytest.mark.servers

PLUGINS = Path(__file__).parents[4] / "plugins"
ID = "vla-20240101T000000-abcd.calibration.tar"
DATA = pattern((5 << 19) + 1)  # its checksum is one that old records have as a negative number
STORED = ArchivedFile(ID, 1, len(DATA), zlib.crc32(DATA))
IMPATIENT = RequestRetryPolicy(attempts=3, first_wait_seconds=0.01, longest_wait_seconds=0.05)


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", stall_seconds=20) as server:
        yield server


@pytest.fixture
def client(ngas):
    return NgasClient(server_name(ngas), stall_seconds=2)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "calibration.tar"
    path.write_bytes(DATA)
    return FileToArchive(path, ID, len(DATA), zlib.crc32(DATA), "application/x-tar")


def send(client, file, **options):
    return archive(client, file, **({"retries": IMPATIENT, "settle_seconds": 0.2} | options)).file


def sent(ngas):
    return ngas.requests.count("ARCHIVE") + ngas.requests.count("QARCHIVE")


def versions(ngas):
    """What is stored, by version, as it is on the disk; any other way to store would show."""
    return {row.file_version: ngas.store.path(row).read_bytes() for row in ngas.store.like("%")}


def ended(ngas, command):
    return [request for request in ngas.requests if request.command == command and request.seconds]


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.002)


def test_a_file_is_sent_once_and_proved(ngas, client, file):
    assert send(client, file) == STORED
    assert versions(ngas) == {1: DATA}
    assert [request.command for request in ngas.requests] == ["STATUS", "QUERY", "ARCHIVE", "QUERY", "CHECKFILE"]
    (row,) = ngas.store.like(ID)
    assert (row.format, row.checksum_plugin) == ("application/x-tar", "ngamsGenCrc32")


@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sizes_around_a_block(ngas, client, tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(pattern(size))
    assert send(client, FileToArchive(path, "a", size, zlib.crc32(pattern(size)), "a/b")).size_bytes == size
    assert versions(ngas) == {1: pattern(size)}


def test_what_is_there_already_is_not_sent_again(ngas, client, file):
    ngas.put(ID, DATA, signed=True)
    assert send(client, file) == STORED
    assert send(client, file, sent_before=True) == STORED
    assert sent(ngas) == 0


def test_an_id_that_only_looks_alike_is_another_file(ngas, client, file):
    ngas.put(ID.replace(".", "_"), b"another")
    ngas.put(ID + "x", b"another")
    file = FileToArchive(file.path, ID.replace(".", "_", 1), file.size_bytes, file.crc32, file.mime_type)
    assert send(client, file).version == 1


def test_a_second_version_with_the_same_bytes_does_no_harm(ngas, client, file):
    ngas.put(ID, DATA)
    ngas.put(ID, DATA)
    ngas.faults.add("corrupt_stored", command="CHECKFILE", times=1)
    assert send(client, file).version == 2
    assert sent(ngas) == 0


# Something else, or something bad, under the ID: refused, and never a further version.


@pytest.mark.parametrize(
    "contents",
    [[b"somebody else's"], [DATA[:-1]], [DATA[:-1] + b"?"], [DATA, b"somebody else's"], [b"somebody else's", DATA]],
    ids=["other", "shorter", "other byte", "version 2 from somebody else", "version 1 from somebody else"],
)
def test_something_else_under_the_id_is_refused(ngas, client, file, contents):
    for content in contents:
        ngas.put(ID, content)
    with pytest.raises(IntegrityError, match=rf"something else under '{ID}': version \d with \d+ bytes") as refused:
        send(client, file)
    assert "\n" not in str(refused.value)
    assert sent(ngas) == 0


@pytest.mark.parametrize("fault", ["corrupt_stored", "truncate_stored", "delete_stored"])
def test_a_copy_of_ours_that_is_bad_is_refused(ngas, client, file, fault):
    ngas.put(ID, DATA)
    ngas.faults.add(fault, command="CHECKFILE", times=1)
    with pytest.raises(IntegrityError, match="corrupt or gone"):
        send(client, file)
    assert sent(ngas) == 0


def test_damage_right_after_storing_is_not_archived(ngas, client, file):
    ngas.faults.add("corrupt_stored", command="CHECKFILE", times=1)
    with pytest.raises(IntegrityError, match="corrupt or gone"):
        send(client, file)
    assert sent(ngas) == 1


def test_concurrent_store_under_the_id_is_noticed(ngas, client, file):
    ngas.faults.add("slow_commit", seconds=0.3)
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(send, client, file)
        until(lambda: sent(ngas) == 1)
        ngas.put(ID, b"somebody else's")
        ngas.put(ID, b"somebody else's")
        with pytest.raises(IntegrityError, match="something else under"):
            sending.result(30)


def test_a_success_that_is_not_listed_is_not_believed(ngas, client, file, monkeypatch):
    monkeypatch.setattr(client, "query_files", lambda _: ())
    with pytest.raises(IntegrityError, match="does not list it"):
        send(client, file)
    assert sent(ngas) == 1


def test_a_success_about_other_bytes_is_not_believed(ngas, client, file, monkeypatch):
    archive_once = client.archive

    def archive_other_bytes(file_id, body, **options):
        archive_once(file_id, body, **options)
        ngas.put("other", b"other")
        (reported,) = client.status("other").files
        return type("Told", (), {"files": (type(reported)(ID, 1, 5, reported.checksum, "crc32"),)})

    monkeypatch.setattr(client, "archive", archive_other_bytes)
    with pytest.raises(IntegrityError, match="version 1 with 5 bytes"):
        send(client, file)


def test_a_success_before_all_was_sent_is_not_believed(ngas, client, file, monkeypatch):
    monkeypatch.setattr(client, "archive", lambda _, body, **_options: next(iter(body)))
    with pytest.raises(IntegrityError, match="before it was sent to its end"):
        send(client, file)


# The reply is lost, the connection breaks, the server cannot now: again, and still once.


def test_a_lost_reply_is_found_by_looking(ngas, client, file):
    ngas.faults.add("reply_lost", command="ARCHIVE", times=1)
    assert send(client, file) == STORED
    assert sent(ngas) == 1


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("cut", {"bytes": 1_500_000}),
        ("disk_full", {"bytes": 1_500_000}),
        ("stall", {"bytes": 1_500_000}),
        ("empty_reply", {}),
        ("busy", {}),
        ("offline", {}),
    ],
)
def test_what_breaks_once_is_sent_again_and_stored_once(ngas, file, fault, options):
    broken = ngas.faults.add(fault, command="ARCHIVE", times=1, **options)
    client = NgasClient(server_name(ngas), stall_seconds=0.5)
    assert send(client, file) == STORED
    assert (broken.hits, sent(ngas), versions(ngas)) == (1, 2, {1: DATA})


def test_each_try_looks_before_it_sends(ngas, client, file):
    ngas.faults.add("cut", command="ARCHIVE", bytes=1_500_000)
    with pytest.raises(ServiceUnavailable):
        send(client, file)
    commands = [request.command for request in ngas.requests]
    assert [command for command, _ in groupby(commands)] == [
        "STATUS",
        "QUERY",
        "ARCHIVE",
        "STATUS",
        "QUERY",
    ] * IMPATIENT.attempts
    assert versions(ngas) == {}


def test_full_volumes_are_reported_as_such(ngas, client, file):
    full = ngas.faults.add("volume_full", command="ARCHIVE")
    with pytest.raises(ServiceUnavailable, match=r"status is ONLINE.*its volumes may be full"):
        send(client, file)
    assert full.hits == IMPATIENT.attempts  # the server does not say that it is full: it may heal
    ngas.faults.add("volume_full", command="QUERY")
    with pytest.raises(NgasStorageFull, match=r"volumes of NGAS server .* are full: .* 0\.000 GB are free"):
        send(client, file)
    assert (full.hits, versions(ngas)) == (IMPATIENT.attempts + 1, {})


@pytest.mark.parametrize("copy", [0, 1])
def test_damaged_replica_is_reported_and_file_archived(tmp_path, file, copy):
    with NgasServer(tmp_path / "replicating", configuration=Configuration(replication=True)) as ngas:
        client = NgasClient(server_name(ngas), stall_seconds=2)
        proof = archive(client, file, retries=IMPATIENT)
        assert (proof.file, len(proof.copies), proof.damaged) == (STORED, 2, ())
        row = ngas.store.copies(ID)[copy]
        ngas.store.path(row).write_bytes(b"!")
        proof = archive(client, file, retries=IMPATIENT, sent_before=True)
        assert (proof.file, [damaged.disk_id for damaged in proof.damaged]) == (STORED, [row.disk_id])
        assert sent(ngas) == 1


@pytest.mark.parametrize("command", ["QUERY", "CHECKFILE"])
@pytest.mark.parametrize("fault", ["busy", "empty_reply", "reply_lost", "delay"])
def test_what_breaks_while_looking_is_asked_again(ngas, file, command, fault):
    ngas.faults.add(fault, command=command, times=1, seconds=1.0)
    assert send(NgasClient(server_name(ngas), stall_seconds=0.5), file) == STORED
    assert sent(ngas) == 1


def test_nothing_is_sent_while_the_server_may_still_be_storing(ngas, file):
    """The reply takes longer than anybody waits; what it would have said is found."""
    ngas.faults.add("slow_commit", seconds=1.5, times=1)
    assert send(NgasClient(server_name(ngas), stall_seconds=0.3), file, settle_seconds=10) == STORED
    assert sent(ngas) == 1


# A test that waited for anything but the server's health would wait for a minute, and ask it for something else.
STALLED = {"stall_seconds": 59, "health_seconds": 0.1}


def test_mute_server_is_only_asked_for_status(file):
    with StallingServer() as stalling, pytest.raises(ServiceUnavailable, match="STATUS: nothing came in time"):
        send(NgasClient(stalling.name, **STALLED), file)
    assert stalling.asked == ["STATUS"] * IMPATIENT.attempts


def test_stalled_server_is_then_only_asked_for_status(file):
    client_options = {"stall_seconds": 1, "health_seconds": 1}
    with StallingServer(StallingServer.ONLINE, b"[]") as stalling, pytest.raises(ServiceUnavailable, match="STATUS"):
        send(NgasClient(stalling.name, **client_options), file)
    assert stalling.asked == ["STATUS", "QUERY", "ARCHIVE", "STATUS", "STATUS"]


def test_slow_server_is_not_taken_for_stalled(ngas, file):
    ngas.faults.add("slow_commit", seconds=1.5)
    assert send(NgasClient(server_name(ngas), health_seconds=1), file) == STORED
    assert sent(ngas) == 1


def test_a_server_that_is_not_there_is_unavailable(ngas, file):
    with pytest.raises(ServiceUnavailable):
        send(NgasClient("127.0.0.1:1"), file)


@pytest.mark.parametrize(
    ("fault", "options", "error"),
    [
        ("too_large", {"bytes": 1000}, NgasStorageFull),
        ("refuse", {"status": 401}, SettingsError),
        ("refuse", {"status": 403}, SettingsError),
        ("refuse", {"status": 400, "message": "NGAMS_ER_UNKNOWN_MIME_TYPE2:4047:ERROR: no"}, NgasRefused),
        ("refuse", {"status": 400, "message": "NGAMS_ER_MISSING_URI:4013:ERROR: no"}, NgasRefused),
        ("corrupt", {"bytes": 1_500_000}, NgasRefused),
    ],
)
def test_refusal_during_upload_is_read_and_not_retried(ngas, client, file, fault, options, error):
    ngas.faults.add(fault, command="ARCHIVE", **options)
    with pytest.raises(error):
        send(client, file)
    assert (sent(ngas), versions(ngas)) == (1, {})


# The file here.


def changed_file(file, content):
    file.path.write_bytes(content)
    return file


@pytest.mark.parametrize("content", [DATA[:-1], DATA + b"?", b""])
def test_a_file_of_another_size_is_not_sent(ngas, client, file, content):
    with pytest.raises(IntegrityError, match="not the file"):
        send(client, changed_file(file, content))
    assert len(ngas.requests) == 0


@pytest.mark.parametrize("place", [0, 1 << 20, len(DATA) - 1])
def test_changed_byte_ends_the_upload_before_storing(ngas, client, file, place):
    with pytest.raises(IntegrityError, match="not the file"):
        send(client, changed_file(file, DATA[:place] + b"?" + DATA[place + 1 :]))
    until(lambda: ended(ngas, "ARCHIVE"))
    (upload,) = ended(ngas, "ARCHIVE")
    assert upload.received < len(DATA)
    assert versions(ngas) == {}


@pytest.mark.parametrize("content", [DATA[: 3 << 19], DATA + b"?"])
def test_a_file_that_changes_while_it_is_sent_is_not_stored(ngas, client, file, content, monkeypatch):
    monkeypatch.setattr(archive_upload, "find_copy", lambda *_: file.path.write_bytes(content) and None)
    with pytest.raises(IntegrityError, match="not the file"):
        send(client, file)
    assert versions(ngas) == {}


def test_a_disk_here_that_fails_is_not_taken_for_the_server(ngas, client, file, monkeypatch):
    monkeypatch.setattr(os, "pread", lambda *_: os.close(-1))
    with pytest.raises(LocalFilesError):
        send(client, file)


def test_what_is_not_a_regular_file_is_not_sent(ngas, client, file, tmp_path):
    target = file.path.rename(tmp_path / "target")
    with pytest.raises(LocalFilesError):
        send(client, file)
    file.path.symlink_to(target)
    with pytest.raises(UnsafeFile, match="is a symbolic link"):
        send(client, file)
    file.path.unlink()
    os.mkfifo(file.path)
    with pytest.raises(UnsafeFile, match="is a named pipe"):
        send(client, file)
    (tmp_path / "folder").symlink_to(".")
    linked = replace(file, path=tmp_path / "folder" / target.name, root=tmp_path)
    with pytest.raises(UnsafeFile, match="folder' is a symbolic link"):
        send(client, linked)
    assert len(ngas.requests) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"file_id": "a%"}, {"file_id": "a\\b"}, {"file_id": "a/b"}, {"file_id": ".a"}, {"file_id": ""},
        {"file_id": "a" * 65}, {"file_id": "a\n"}, {"mime_type": "tar"}, {"mime_type": "a/b\r\nX: y"},
        {"size_bytes": 0}, {"crc32": 2**32},
    ],
)  # fmt: skip
def test_what_ngas_could_not_keep_is_refused_at_the_parser(wrong):
    right = {"path": Path("x"), "file_id": "a" * 64, "size_bytes": 1, "crc32": 1, "mime_type": "application/x-tar"}
    FileToArchive(**right)
    with pytest.raises(InvalidInput):
        FileToArchive(**(right | wrong))


# Two at once, and killed.


def test_a_second_uploader_is_reported_and_then_finds_it_there(ngas, client, file):
    ngas.faults.add("slow", command="ARCHIVE", rate=len(DATA))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(send, client, file)
        until(lambda: any(request.received for request in ngas.requests))
        with pytest.raises(ServiceUnavailable, match="Another process is sending"):
            send(client, file)
        assert first.result(30) == STORED
    assert send(client, file) == STORED
    assert (sent(ngas), versions(ngas)) == (1, {1: DATA})


def test_two_writers_of_one_id_without_a_claim_are_found_out(ngas, client, file, tmp_path):
    """Both get the answer that their version was stored; one row is left. The proof shows whose it is."""
    other = FileToArchive(tmp_path / "other", ID, 5, zlib.crc32(b"other"), "application/x-tar")
    other.path.write_bytes(b"other")
    ngas.faults.add("slow_commit", seconds=0.5, times=1)
    with ThreadPoolExecutor() as pool:
        late = pool.submit(send, client, file)
        until(lambda: any(request.received == len(DATA) for request in ngas.requests))
        early = send(client, other)
        assert late.result(30) == STORED
    assert [request.version for request in ngas.requests if request.command == "ARCHIVE"] == [1, 1]
    prove_archived(client, STORED)
    with pytest.raises(IntegrityError, match="something else under"):
        prove_archived(client, early)


UPLOAD = """
import sys
from pathlib import Path
from srdp.domain.archiving.upload import FileToArchive, archive
from srdp.domain.ngas.client import NgasClient
server, path, file_id, size, crc32 = sys.argv[1:]
archive(NgasClient(server), FileToArchive(Path(path), file_id, int(size), int(crc32), "application/x-tar"))
"""


@contextmanager
def uploader(ngas, file):
    """Another process that uploads; whatever becomes of the test, it ends."""
    arguments = [server_name(ngas), file.path, ID, str(file.size_bytes), str(file.crc32)]
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS)}
    with subprocess.Popen([sys.executable, "-c", UPLOAD, *arguments], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def kill(process):
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_killed_in_the_middle_of_the_upload(ngas, client, tmp_path):
    """The file is larger than what the two ends of a connection hold; the server takes it slower than it is sent."""
    content = pattern(1 << 20) * 32
    large = FileToArchive(tmp_path / "large.tar", ID, len(content), zlib.crc32(content), "application/x-tar")
    large.path.write_bytes(content)
    slow = ngas.faults.add("slow", command="ARCHIVE", rate=5_000_000)
    with uploader(ngas, large) as process:
        until(lambda: any(request.received for request in ngas.requests))
        kill(process)
    slow.times = 0
    until(lambda: ended(ngas, "ARCHIVE"))
    assert 0 < ended(ngas, "ARCHIVE")[0].received < len(content)
    assert versions(ngas) == {}
    assert send(client, large, sent_before=True).version == 1
    assert versions(ngas) == {1: content}


def test_another_process_that_sends_is_waited_for(ngas, client, file):
    ngas.faults.add("slow_commit", seconds=30)
    with uploader(ngas, file) as process:
        until(lambda: any(request.received == len(DATA) for request in ngas.requests))
        with pytest.raises(ServiceUnavailable, match="Another process is sending"):
            send(client, file)
        kill(process)
    assert sent(ngas) == 1


def test_killed_after_the_upload_before_it_is_stored(ngas, client, file):
    """The server continues storing for a client that is dead, and is not sent the file again meanwhile."""
    ngas.faults.add("slow_commit", seconds=2.0, times=1)
    with uploader(ngas, file) as process:
        until(lambda: any(request.received == len(DATA) for request in ngas.requests))
        kill(process)
    assert versions(ngas) == {}
    assert send(client, file, sent_before=True, settle_seconds=20) == STORED
    assert (sent(ngas), versions(ngas)) == (1, {1: DATA})


def test_killed_when_it_is_stored_before_the_reply_is_read(ngas, client, file):
    ngas.faults.add("slow_commit", seconds=1.0, times=1)
    with uploader(ngas, file) as process:
        until(lambda: any(request.received == len(DATA) for request in ngas.requests))
        process.send_signal(signal.SIGSTOP)
        until(lambda: ngas.store.like(ID))
        kill(process)
    assert send(client, file) == STORED
    assert (sent(ngas), versions(ngas)) == (1, {1: DATA})


def test_killed_at_each_step_on_the_network(tmp_path, file, monkeypatch):
    """At each connection, each request's head, each block of the file."""
    monkeypatch.setattr(killing, "_FILE_OPERATIONS", {"socket.connect", "http.client.send"})
    with NgasServer(tmp_path / "ngas") as ngas:
        client = NgasClient(server_name(ngas), stall_seconds=5)
        files = []

        def prepare():
            files.append(FileToArchive(file.path, f"a{len(files)}", file.size_bytes, file.crc32, file.mime_type))

        for number in killing.killed_at_each_file_operation(prepare, lambda: send(client, files[-1])):
            until(lambda: all(request.seconds for request in ngas.requests))
            assert send(client, files[-1], sent_before=True).version == 1
            assert [row.file_version for row in ngas.store.like(files[-1].file_id)] == [1]
            reached = number
        # 5 requests: connection and head; and 3 blocks.
        assert reached == 13
