from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import google_crc32c
import pytest
import requests
from tests.fetching import (
    EB,
    LOCATOR,
    fetch_of,
    hidden,
    hidden_sizes,
    pattern,
    report_document,
    server_name,
    stored,
    visible,
)

from sandbox.ngas.call import Configuration
from sandbox.ngas.server import NgasServer
from srdp.domain.common.errors import IntegrityError, ServiceUnavailable, SettingsError, SrdpError
from srdp.domain.files import space
from srdp.domain.files.space import held
from srdp.domain.files.storage import DiskFull
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.ngas.client import NgasClient, NgasLogin
from srdp.domain.ngas.locator_report import UNFINISHED, parse_locator_report
from srdp.domain.ngas.status import NgasFileUnavailable
from srdp.domain.raw_data import fetch as fetch_module
from srdp.domain.raw_data import partial_file
from srdp.domain.raw_data.fetch_control import FetchStopped
from srdp.domain.runs.retry import RequestRetryPolicy

pytestmark = pytest.mark.servers

FILES = {
    "ASDM.xml": b"<ASDM/>",
    "Main.xml": pattern(70_000),
    "ASDMBinary/uid_1": pattern(3_000_000),
    "ASDMBinary/uid_2": pattern(1_500_001),
    "empty.txt": b"",
}
BIG = "ASDMBinary/uid_1"
BIG_ID = "ASDMBinary_uid_1"


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", stall_seconds=30) as server:
        yield server


@pytest.fixture
def rawdata(tmp_path):
    return tmp_path / "rawdata"


def wait_until(condition, deadline=20.0):
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def stop_when(fetch, condition):
    threading.Thread(target=lambda: (wait_until(condition), fetch.stop())).start()


def test_every_file_arrives_read_only_under_its_name(ngas, rawdata):
    report = stored(ngas, FILES)
    fetched = fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES
    assert not (rawdata / UNFINISHED).exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in rawdata.rglob("*") if path.is_file()} == {0o444}
    assert [(file.path, file.size_bytes, file.crc32) for file in fetched] == [
        (f"{EB}/{path}", len(data), zlib.crc32(data)) for path, data in FILES.items()
    ]
    assert all(file.mtime_ns == (rawdata / file.path).stat().st_mtime_ns for file in fetched)


def test_what_is_already_there_is_read_and_not_fetched_again(ngas, rawdata):
    report = stored(ngas, FILES)
    first = fetch_of(report, rawdata).run()
    ngas.requests.clear()
    assert fetch_of(report, rawdata).run() == first
    assert len(ngas.requests) == 0


def test_what_was_damaged_here_is_fetched_again(ngas, rawdata):
    report = stored(ngas, FILES)
    fetch_of(report, rawdata).run()
    ngas.requests.clear()
    for path, change in (("Main.xml", b"X" * 70_000), ("ASDMBinary/uid_2", b"short")):
        (rawdata / EB / path).chmod(0o644)
        (rawdata / EB / path).write_bytes(change)
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES
    assert ngas.requests.count("RETRIEVE") == 2


def test_a_cut_is_resumed_where_it_was(ngas, rawdata):
    report = stored(ngas, FILES)
    cut = ngas.faults.add("cut", command="RETRIEVE", file_id=BIG_ID, bytes=1_000_000, times=2)
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES
    assert cut.hits == 2
    starts = [request.range_start for request in ngas.requests if request.file_id == BIG_ID]
    assert len(starts) == 3
    assert starts[0] == 0 < starts[1] < starts[2]


def test_a_stalled_transfer_is_given_up_and_resumed(ngas, rawdata):
    report = stored(ngas, FILES)
    ngas.faults.add("stall", command="RETRIEVE", file_id=BIG_ID, bytes=1_000_000, times=1)
    fetch_of(report, rawdata, stall_seconds=0.3).run()
    assert visible(rawdata) == FILES
    assert [request.range_start for request in ngas.requests if request.file_id == BIG_ID] == [0, 1_000_000]


@pytest.mark.parametrize("kind", ["busy", "offline", "empty_reply"])
def test_what_heals_is_repeated(ngas, rawdata, kind):
    report = stored(ngas, FILES)
    fault = ngas.faults.add(kind, command="RETRIEVE", times=2)
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES
    assert fault.hits == 2


@pytest.mark.parametrize("kind", ["busy", "offline", "empty_reply"])
def test_what_does_not_heal_in_time_is_reported_as_unavailable(ngas, rawdata, kind):
    report = stored(ngas, {"a": b"a"})
    fault = ngas.faults.add(kind, command="RETRIEVE")
    with pytest.raises(ServiceUnavailable, match=server_name(ngas)):
        fetch_of(report, rawdata).run()
    assert fault.hits == 3
    assert visible(rawdata) == {}


def test_a_server_that_is_not_there_is_reported_with_its_name(ngas, rawdata, tmp_path):
    with NgasServer(tmp_path / "gone") as gone:
        report = stored(gone, {"a": b"a"})
    with pytest.raises(ServiceUnavailable, match=rf"{server_name(gone)}.*Connection refused"):
        fetch_of(report, rawdata).run()


def test_bytes_that_change_once_on_the_way_are_fetched_once_more(ngas, rawdata):
    report = stored(ngas, FILES)
    ngas.faults.add("corrupt", command="RETRIEVE", file_id=BIG_ID, bytes=17, times=1)
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES


@pytest.mark.parametrize(
    ("fault", "verdict"), [("corrupt", "finds its own copy intact"), ("corrupt_stored", "finds its own copy corrupt")]
)
def test_bytes_that_stay_wrong_are_refused_with_the_file_named(ngas, rawdata, fault, verdict):
    report = stored(ngas, FILES)
    # What is stored is damaged once and stays so; what passes is damaged each time.
    times = 1 if fault == "corrupt_stored" else None
    ngas.faults.add(fault, command="RETRIEVE", file_id=BIG_ID, bytes=17, times=times)
    with pytest.raises(IntegrityError, match=f"{BIG}.*{verdict}"):
        fetch_of(report, rawdata).run()
    assert BIG not in visible(rawdata)
    assert not any(path.stat().st_size == len(FILES[BIG]) for path in hidden(rawdata))


@pytest.mark.parametrize("size", [2_999_999, 3_000_001, 0])
def test_wrong_size_is_refused_before_the_fetch(ngas, rawdata, size):
    report = stored(ngas, FILES)
    ngas.faults.add("wrong_size", file_id=BIG_ID, bytes=size)
    with pytest.raises(IntegrityError, match=rf"{BIG}.*{size} bytes.*recorded 3000000"):
        fetch_of(report, rawdata).run()
    assert BIG not in visible(rawdata)
    assert ngas.requests.count("RETRIEVE", BIG_ID) == 2  # as the server chose, and by its disk


def test_a_file_that_was_cut_off_in_the_archive_is_refused(ngas, rawdata):
    report = stored(ngas, FILES)
    ngas.faults.add("truncate_stored", command="RETRIEVE", file_id=BIG_ID, bytes=1_000_000)
    with pytest.raises(IntegrityError, match="1000000 bytes"):
        fetch_of(report, rawdata).run()


def test_a_file_that_the_server_does_not_know_is_refused_at_once(ngas, rawdata):
    document = report_document(FILES | {"gone": b"gone"}, server_name(ngas))
    stored(ngas, FILES)
    report = parse_locator_report(json.dumps(document).encode(), LOCATOR)
    with pytest.raises(NgasFileUnavailable, match=r"'gone'.*4019"):
        fetch_of(report, rawdata).run()
    assert ngas.requests.count("RETRIEVE", "gone") == 1
    assert "gone" not in visible(rawdata)


def test_a_file_that_was_deleted_from_the_servers_disk_is_refused(ngas, rawdata):
    report = stored(ngas, FILES)
    ngas.faults.add("delete_stored", command="RETRIEVE", file_id=BIG_ID)
    with pytest.raises(NgasFileUnavailable, match=f"{BIG_ID}.*4019"):
        fetch_of(report, rawdata).run()
    assert BIG not in visible(rawdata)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_login_names_the_setting(ngas, rawdata, status):
    report = stored(ngas, {"a": b"a"})
    ngas.faults.add("refuse", command="RETRIEVE", status=status)
    with pytest.raises(SettingsError, match="login and password"):
        fetch_of(report, rawdata).run()
    assert ngas.requests.count("RETRIEVE") == 1


def test_file_on_another_node_is_fetched_with_the_same_login(ngas, rawdata, tmp_path):
    with NgasServer(tmp_path / "other", user="vlapipe", password="secret") as other:
        stored(other, FILES)
        report = stored(ngas, FILES)
        ngas.faults.add("redirect", command="RETRIEVE", url=other.url)
        ngas.faults.add("cut", command="RETRIEVE", bytes=1)
        other.faults.add("cut", command="RETRIEVE", file_id=BIG_ID, bytes=1_000_000, times=1)
        client = NgasClient(server_name(ngas), login=NgasLogin("vlapipe", "secret"))
        fetch_of(report, rawdata, client_of=lambda _: client).run()
        assert [r.range_start for r in other.requests if r.file_id == BIG_ID][1] > 0
    assert visible(rawdata) == FILES


@pytest.mark.parametrize("name", ["crc32", "crc32z", "StreamCrc32", "ngamsGenCrc32", "crc32c"])
def test_every_kind_of_checksum_is_verified(ngas, rawdata, name):
    data = pattern(100_000)
    stored(ngas, {"a": data})
    document = report_document({"a": data}, server_name(ngas))
    right = google_crc32c.extend(0, data) if name == "crc32c" else zlib.crc32(data)
    document["files"][0] |= {"checksum_type": name, "checksum": str(right)}
    fetched = fetch_of(parse_locator_report(json.dumps(document).encode(), LOCATOR), rawdata).run()
    assert fetched[0].crc32 == zlib.crc32(data)
    (rawdata / EB / "a").unlink()
    document["files"][0]["checksum"] = str(right ^ 1)
    with pytest.raises(IntegrityError):
        fetch_of(parse_locator_report(json.dumps(document).encode(), LOCATOR), rawdata).run()
    assert visible(rawdata) == {}


def test_empty_file_with_wrong_checksum_is_refused(ngas, rawdata):
    document = report_document({"empty": b""}, server_name(ngas))
    document["files"][0]["checksum"] = "1"
    with pytest.raises(IntegrityError, match="empty"):
        fetch_of(parse_locator_report(json.dumps(document).encode(), LOCATOR), rawdata).run()
    assert visible(rawdata) == {}


def test_fetches_per_server_are_limited(ngas, rawdata, tmp_path):
    files = {f"file{number}": pattern(10_000 + number) for number in range(12)}
    with NgasServer(tmp_path / "other") as other:
        documents = [report_document({f"{n}/{p}": d for p, d in files.items()}, server_name(s))
                     for n, s in (("x", ngas), ("y", other))]  # fmt: skip
        stored(ngas, {f"x/{path}": data for path, data in files.items()})
        stored(other, {f"y/{path}": data for path, data in files.items()})
        for server in (ngas, other):
            server.faults.add("delay", command="RETRIEVE", seconds=0.05)
        both = {
            "files": documents[0]["files"] + documents[1]["files"],
            "aggregate_size": sum(document["aggregate_size"] for document in documents),
        }
        fetch_of(parse_locator_report(json.dumps(both).encode(), LOCATOR), rawdata, streams_per_server=3).run()
        for server in (ngas, other):
            assert most_at_once(server) == 3


def test_files_are_visible_only_after_their_sync(ngas, rawdata, monkeypatch):
    files = {f"file{number}": pattern(10_000 - number) for number in range(4)}
    report = stored(ngas, files)
    fsync, disk = os.fsync, threading.Event()

    def slow_disk(descriptor):
        assert disk.wait(20), "the others did not come"
        fsync(descriptor)

    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as beside:
        patched.setattr(os, "fsync", slow_disk)
        fetched = beside.submit(fetch_of(report, rawdata, streams_per_server=1).run)
        try:
            wait_until(lambda: sorted(hidden_sizes(rawdata)) == sorted(len(data) for data in files.values()))
            assert visible(rawdata) == {}
        finally:
            disk.set()
        fetched.result(timeout=20)
    assert visible(rawdata) == files
    assert most_at_once(ngas) == 1


def most_at_once(server):
    moments = sorted(
        moment for request in server.requests for moment in ((request.time, 1), (request.time + request.seconds, -1))
    )
    current = most = 0
    for _, change in moments:
        current += change
        most = max(most, current)
    return most


def test_first_fatal_failure_stops_all_downloads(ngas, rawdata):
    files = {f"slow{number}": pattern(4_000_000 + number) for number in range(3)} | {"broken": pattern(1_000)}
    files |= {f"queued{number}": pattern(100) for number in range(10)}
    report = stored(ngas, files)
    ngas.faults.add("slow", command="RETRIEVE", file_id="slow*", rate=200_000)  # 20 s each
    ngas.faults.add("delay", command="RETRIEVE", file_id="broken", seconds=0.5)
    ngas.faults.add("wrong_size", file_id="broken", bytes=1)
    started = time.monotonic()
    with pytest.raises(IntegrityError, match="broken"):
        fetch_of(report, rawdata).run()
    assert time.monotonic() - started < 3
    assert visible(rawdata) == {}


def test_a_stalled_download_does_not_hold_up_the_stop(ngas, rawdata):
    report = stored(ngas, FILES)
    ngas.faults.add("stall", command="RETRIEVE", file_id=BIG_ID, bytes=1_000_000)
    # One stream: the other files are still in the queue when it stops.
    fetch = fetch_of(report, rawdata, stall_seconds=25, streams_per_server=1)
    stop_when(fetch, lambda: 1_000_000 in hidden_sizes(rawdata))
    started = time.monotonic()
    with pytest.raises(FetchStopped):
        fetch.run()
    assert time.monotonic() - started < 4
    assert fetch_threads() == []
    assert BIG not in visible(rawdata)


def fetch_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ngas-127")]


def test_a_stop_ends_the_wait_before_a_repetition(ngas, rawdata, caplog):
    report = stored(ngas, {"a": b"a"})
    ngas.faults.add("busy", command="RETRIEVE")
    fetch = fetch_of(report, rawdata, retries=RequestRetryPolicy(first_wait_seconds=60, longest_wait_seconds=60))
    stop_when(fetch, lambda: "Trying again" in caplog.text)
    started = time.monotonic()
    with pytest.raises(FetchStopped):
        fetch.run()
    assert time.monotonic() - started < 5


def test_too_little_space_is_said_before_anything_is_fetched(ngas, rawdata):
    report = stored(ngas, FILES)
    with pytest.raises(DiskFull, match="SRDP_FETCH_SPARE_GB"):
        fetch_of(report, rawdata, spare_bytes=10**18).run()
    assert len(ngas.requests) == 0
    assert hidden(rawdata) == []


def test_a_fetch_that_is_complete_needs_no_space(ngas, rawdata):
    report = stored(ngas, FILES)
    fetch_of(report, rawdata).run()
    fetch_of(report, rawdata, spare_bytes=10**18).run()


@pytest.fixture
def small_files():
    """No file may become larger than 1 MB: the system refuses a write as a full disk does, in its midst."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


def test_full_local_disk_is_reported_and_retried(ngas, rawdata, small_files):
    report = stored(ngas, FILES)
    with small_files(), pytest.raises(DiskFull, match=r"ASDMBinary/uid_\d could not be written.*Free space"):
        fetch_of(report, rawdata).run()
    assert not any("Binary" in path for path in visible(rawdata))
    assert max(path.stat().st_size for path in hidden(rawdata)) == 1_000_000
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES
    assert any(request.range_start == 1_000_000 for request in ngas.requests)


def test_a_full_quota_is_reported_like_a_full_disk(ngas, rawdata, monkeypatch):
    report = stored(ngas, {"a": b"a"})

    def full(descriptor, data):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(partial_file.os, "write", full)
    with pytest.raises(DiskFull, match=r"rawdata/.*/a could not be written: Disk quota exceeded"):
        fetch_of(report, rawdata).run()


def test_a_directory_that_cannot_be_written_is_one_sentence(ngas, tmp_path):
    report = stored(ngas, {"a": b"a"})
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(SrdpError, match="file' could not be written"):
        fetch_of(report, tmp_path / "file").run()
    with pytest.raises(SrdpError, match="missing/rawdata could not be written"):
        fetch_of(report, tmp_path / "missing" / "rawdata").run()


@pytest.mark.parametrize("what", ["link", "directory"])
def test_what_somebody_else_put_there_is_not_overwritten(ngas, rawdata, tmp_path, what):
    report = stored(ngas, {"a": b"a"})
    (rawdata / EB).mkdir(parents=True)
    if what == "link":
        (tmp_path / "elsewhere").write_bytes(b"a")
        (rawdata / EB / "a").symlink_to(tmp_path / "elsewhere")
    else:
        (rawdata / EB / "a").mkdir()
    with pytest.raises(UnsafeFile, match=f"'{rawdata / EB / 'a'}' is a "):
        fetch_of(report, rawdata).run()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.symlink_to, "is a symbolic link"),
        (Path.hardlink_to, "is a hard link"),
        (lambda lock, _: os.mkfifo(lock), "is a named pipe"),
    ],
)
def test_fetch_lock_must_be_a_regular_file(ngas, rawdata, tmp_path, make, said):
    report = stored(ngas, {"a": b"a"})
    lock, precious = rawdata / UNFINISHED / "lock", tmp_path / "precious"
    precious.write_bytes(b"of somebody else")
    lock.parent.mkdir(parents=True)
    make(lock, precious)
    with pytest.raises(UnsafeFile, match=f"^'{lock}' {said}"):
        fetch_of(report, rawdata).run()
    assert precious.read_bytes() == b"of somebody else"
    assert len(ngas.requests) == 0


@pytest.mark.parametrize("place", ["", EB, UNFINISHED])
def test_nothing_is_fetched_into_a_linked_folder(ngas, rawdata, tmp_path, place):
    report = stored(ngas, {"a": b"a"})
    (tmp_path / "elsewhere").mkdir()
    if place:
        rawdata.mkdir()
    (rawdata / place).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFile, match=f"'{rawdata / place}' is a symbolic link"):
        fetch_of(report, rawdata).run()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_link_in_the_place_of_a_file_on_its_way_is_not_written(ngas, rawdata, tmp_path, make):
    report = stored(ngas, {"a": b"a"})
    precious = tmp_path / "precious"
    precious.write_bytes(b"of somebody else")
    (rawdata / UNFINISHED).mkdir(parents=True)
    make(rawdata / UNFINISHED / partial_file.partial_name(report.files[0]), precious)
    with pytest.raises(UnsafeFile, match=r"\.part' is a (symbolic|hard) link"):
        fetch_of(report, rawdata).run()
    assert precious.read_bytes() == b"of somebody else"


def test_two_processes_do_not_fetch_the_same_run_at_once(ngas, rawdata):
    report = stored(ngas, FILES)
    (rawdata / UNFINISHED).mkdir(parents=True)
    with (rawdata / UNFINISHED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ServiceUnavailable, match="Another process"):
            fetch_of(report, rawdata).run()
    assert len(ngas.requests) == 0
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES


def test_progress_is_reported_while_it_goes_on(ngas, rawdata):
    report = stored(ngas, {"a": pattern(1_000_000), "b": pattern(1_000)})
    ngas.faults.add("slow", command="RETRIEVE", file_id="a", rate=1_000_000)
    reported = []
    fetch_of(report, rawdata, on_progress=reported.append, progress_seconds=0.25).run()
    assert len(reported) >= 3
    assert [progress.bytes_done for progress in reported] == sorted(progress.bytes_done for progress in reported)
    assert 0 < reported[1].bytes_done < 1_001_000
    assert 300_000 < reported[1].bytes_per_second < 3_000_000
    assert reported[1].seconds_remaining < 3
    last = reported[-1]
    assert (last.files_done, last.files, last.bytes_done, last.bytes_total) == (2, 2, 1_001_000, 1_001_000)
    assert "0.001 of 0.001 GB, 2 of 2 files" in str(last)


def test_progress_goes_to_the_log_by_default(ngas, rawdata, caplog):
    with caplog.at_level(logging.INFO):
        fetch_of(stored(ngas, FILES), rawdata).run()
    assert any("5 of 5 files" in record.getMessage() for record in caplog.records)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path[:0] = {path!r}
    from srdp.domain.ngas.locator_report import parse_locator_report
    from tests.fetching import LOCATOR, fetch_of
    report = parse_locator_report(Path(sys.argv[1]).read_bytes(), LOCATOR)
    fetch_of(report, Path(sys.argv[2]), stall_seconds=50).run()
    """
)


def test_killed_fetch_continues_and_shows_nothing_partial(ngas, rawdata, tmp_path):
    report = stored(ngas, FILES)
    (tmp_path / "report.json").write_text(json.dumps(report_document(FILES, server_name(ngas))))
    stall = ngas.faults.add("stall", command="RETRIEVE", file_id="ASDMBinary*", bytes=1_000_000)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(path=sys.path), tmp_path / "report.json", rawdata],
    )
    try:
        wait_until(lambda: hidden_sizes(rawdata) == [1_000_000] * 2)
        wait_until(lambda: len(visible(rawdata)) == 3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert stall.hits == 2
    assert visible(rawdata) == {path: data for path, data in FILES.items() if "Binary" not in path}

    ngas.faults.clear()
    ngas.requests.clear()
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES
    assert not (rawdata / UNFINISHED).exists()
    assert [(request.command, request.range_start) for request in ngas.requests] == [("RETRIEVE", 1_000_000)] * 2


def test_what_a_killed_fetch_left_is_not_trusted(ngas, rawdata):
    report = stored(ngas, FILES)
    (rawdata / UNFINISHED).mkdir(parents=True)
    for file in report.files:
        wrong = b"wrong" * 30 if "uid_1" in str(file.destination) else b"too long" * 1_000_000
        (rawdata / UNFINISHED / partial_file.partial_name(file)).write_bytes(wrong)
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == FILES


def test_complete_file_survives_a_killed_fetch(ngas, rawdata, monkeypatch):
    """... which root always can: so its mode is looked at, and the file is not only opened."""

    def killed(*_, **__):
        raise OSError(errno.EIO, "killed before the rename")

    report = stored(ngas, {"a": pattern(1_000)})
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(SrdpError, match="killed before the rename"):
            fetch_of(report, rawdata).run()
    (left,) = hidden(rawdata)
    assert left.read_bytes() == pattern(1_000)
    assert stat.S_IMODE(left.stat().st_mode) & stat.S_IWUSR
    fetch_of(report, rawdata).run()
    assert stat.S_IMODE((rawdata / EB / "a").stat().st_mode) == 0o444


def test_complete_file_is_not_fetched_twice(ngas, rawdata):
    report = stored(ngas, {"a": pattern(1_000)})
    (rawdata / UNFINISHED).mkdir(parents=True)
    (rawdata / UNFINISHED / partial_file.partial_name(report.files[0])).write_bytes(pattern(1_000))
    fetch_of(report, rawdata).run()
    assert visible(rawdata) == {"a": pattern(1_000)}
    assert len(ngas.requests) == 0


# A file with several copies, and a cluster with several nodes


def copies_of_big(ngas):
    return {row.disk_id: ngas.store.path(row) for row in ngas.store.copies(BIG_ID)}


@pytest.mark.parametrize("how", ["changed", "cut off", "gone"])
@pytest.mark.parametrize("number", [1, 2])
def test_the_good_copy_is_taken_when_the_other_one_is_damaged(ngas, rawdata, number, how):
    report = stored(ngas, FILES)
    requests.get(f"{ngas.url}/CLONE?file_id={BIG_ID}", timeout=10)
    disk_id = ngas.store.volumes[number - 1]
    path = copies_of_big(ngas)[disk_id]
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(FILES[BIG][:-1] if how == "cut off" else FILES[BIG][:-1] + b"!")
    fetch = fetch_of(report, rawdata)
    fetch.run()
    assert visible(rawdata) == FILES
    # The server serves the second one; of a copy that nobody was given nothing is known.
    assert [copy.disk_id for copy in fetch.damaged] == ([disk_id] if number == 2 else [])


def test_a_file_whose_copies_are_all_damaged_is_refused_with_their_disks(ngas, rawdata):
    report = stored(ngas, FILES)
    requests.get(f"{ngas.url}/CLONE?file_id={BIG_ID}", timeout=10)
    for path in copies_of_big(ngas).values():
        path.write_bytes(b"!" + FILES[BIG][1:])
    fetch = fetch_of(report, rawdata)
    with pytest.raises(IntegrityError, match=r"corrupt on disk 'sandbox-volume-1', 'sandbox-volume-2'"):
        fetch.run()
    assert [copy.disk_id for copy in fetch.damaged] == list(ngas.store.volumes)
    assert BIG not in visible(rawdata)


def test_damaged_copy_may_heal_while_a_node_is_away(tmp_path, rawdata):
    with NgasServer(tmp_path / "near") as near:
        report = stored(near, FILES)
        with NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2")) as far:
            requests.get(f"{far.url}/CLONE?file_id={BIG_ID}", timeout=10)
        here = near.store.volumes[0]
        near.store.path(near.store.copies(BIG_ID, None, here)[0]).write_bytes(b"!" + FILES[BIG][1:])
        fetch = fetch_of(report, rawdata)
        with pytest.raises(ServiceUnavailable, match=r"'far-1'.*the node that has the disk is away"):
            fetch.run()
        assert [copy.disk_id for copy in fetch.damaged] == [here]
        with NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2")):
            fetch_of(report, rawdata).run()
        assert visible(rawdata) == FILES


def test_old_version_on_another_disk_is_not_taken(ngas, rawdata):
    report = stored(ngas, FILES)
    ngas.put(BIG_ID, b"a further version")
    requests.get(f"{ngas.url}/CLONE?file_id={BIG_ID}&file_version=2", timeout=10)
    fetch = fetch_of(report, rawdata)
    fetch.run()
    assert (visible(rawdata), fetch.damaged) == (FILES, ())


@pytest.mark.parametrize("proxy_mode", [True, False])
def test_a_node_that_goes_away_in_the_middle_is_waited_for(tmp_path, rawdata, proxy_mode):
    """Its file is 4019 meanwhile, which is not final: QUERY still lists it."""
    configuration = Configuration(proxy_mode=proxy_mode)
    with NgasServer(tmp_path / "near", configuration=configuration, stall_seconds=30) as near:
        far = NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2"), stall_seconds=30)
        far.__enter__()
        report = stored(far, FILES, server=near)
        far.faults.add("stall", command="RETRIEVE", file_id=BIG_ID, bytes=1_000_000)
        fetch = fetch_of(
            report,
            rawdata,
            retries=RequestRetryPolicy(attempts=100, first_wait_seconds=0.05, longest_wait_seconds=0.1),
        )
        with ThreadPoolExecutor(1) as pool:
            fetched = pool.submit(fetch.run)
            wait_until(lambda: any(request.sent >= 1_000_000 for request in far.requests))
            far.__exit__(None, None, None)
            wait_until(lambda: near.requests.count("RETRIEVE", BIG_ID, status=400) >= 2)
            with NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2"), port=far.port):
                fetched.result(timeout=30)
        assert visible(rawdata) == FILES


def test_missing_node_may_heal_and_missing_row_does_not(tmp_path, rawdata):
    with NgasServer(tmp_path / "near") as near:
        with NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2")) as far:
            report = stored(far, FILES, server=near)
        with pytest.raises(ServiceUnavailable, match=r"lists .* on disk 'far-1', but cannot serve it now"):
            fetch_of(report, rawdata).run()
        asked = near.requests.count("RETRIEVE")
        with near.store._transaction() as index:
            index.execute("DELETE FROM ngas_files")
        with pytest.raises(NgasFileUnavailable, match="does not have the file"):
            fetch_of(report, rawdata, streams_per_server=1).run()
        assert near.requests.count("RETRIEVE") == asked + 1


def test_simultaneous_fetches_reserve_space_and_one_waits(ngas, rawdata, monkeypatch):
    """The file system here holds one of them: what a fetch that was killed has reserved counts for the others."""
    report = stored(ngas, {"a": bytes(3_000_000), "b": bytes(1_000_000)})
    size, capacity = 4_000_000, 6_000_000

    def free(_place):
        used = sum(held(path.stat()) for place in (first, second) for path in place.rglob("*") if path.is_file())
        return SimpleNamespace(free=capacity - used)

    first, second = (rawdata.parent / name for name in ("first", "second"))
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", free)
    killed = fetch_of(report, first)
    monkeypatch.setattr(killed, "_fetch_all", mock.Mock(side_effect=SystemExit))
    with pytest.raises(SystemExit):
        killed.run()
    assert capacity - free(None).free >= size, "nothing has come, and its space is taken"
    with pytest.raises(DiskFull, match=r"0\.004 GB are to be fetched"):
        fetch_of(report, second).run()
    assert [path for path in hidden(second) if held(path.stat()) > 4096] == []
    fetch_of(report, first).run()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_what_cannot_be_reserved_whole_is_given_back_whole(ngas, rawdata, monkeypatch, number):
    report = stored(ngas, {"a": bytes(3_000_000), "b": bytes(1_000_000)})
    real, calls = space._fallocate, []

    def full(descriptor, offset, length):
        calls.append(length)
        return number if len(calls) == 2 else real(descriptor, offset, length)

    monkeypatch.setattr(space, "_fallocate", full)
    with pytest.raises(DiskFull, match="the fetch continues by itself"):
        fetch_of(report, rawdata).run()
    assert sum(path.stat().st_blocks for path in hidden(rawdata)) == 0, "two who hold a half each would wait forever"
    assert len(ngas.requests) == 0
    fetch_of(report, rawdata).run()


def test_fetch_works_without_space_reservation(ngas, rawdata, monkeypatch):
    monkeypatch.setattr(space, "_fallocate", lambda *_: errno.EOPNOTSUPP)
    fetch_of(stored(ngas, FILES), rawdata).run()
