"""What can be made to go wrong, each seen from a client."""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path

import pytest

from sandbox.ngas.faults import KINDS, Faults
from sandbox.ngas.server import NgasServer

DATA = bytes(range(256)) * 20


def test_cut_sends_so_many_bytes_and_resets(ngas, client):
    ngas.put("a.fits", DATA)
    fault = ngas.faults.add("cut", command="RETRIEVE", bytes=1000, times=1)
    answer = client.get("/RETRIEVE?file_id=a.fits")
    assert (answer.body, answer.reset) == (DATA[:1000], True)
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert client.get("/RETRIEVE?file_id=a.fits").body == DATA
    assert fault.hits == 1


def test_cut_fault_delivers_data_to_slow_readers(ngas, client):
    data = bytes(20_000_000)
    ngas.put("a.fits", data)
    ngas.faults.add("cut", bytes=10_000_000)
    with client.connect() as connection:
        connection.sendall(client.head("GET", "/RETRIEVE?file_id=a.fits", {}))
        time.sleep(0.1)
        answer = client.read_all(connection)
    assert (len(answer.body), answer.reset) == (10_000_000, True)


def test_cut_after_a_resume_counts_from_where_it_resumed(ngas, client):
    ngas.put("a.fits", DATA)
    ngas.faults.add("cut", bytes=1000)
    assert client.get("/RETRIEVE?file_id=a.fits", Range="bytes=1000-").body == DATA[1000:2000]


def test_cut_of_an_upload_stores_nothing(ngas, client):
    ngas.faults.add("cut", command="ARCHIVE", bytes=1000)
    answer = client.archive("a.fits", DATA)
    assert (answer.raw, answer.reset) == (b"", True)
    assert ngas.store.like("%") == []


def test_a_body_shorter_than_the_cut_passes_whole(ngas, client):
    ngas.put("a.fits", DATA)
    ngas.faults.add("cut", bytes=len(DATA))
    answer = client.get("/RETRIEVE?file_id=a.fits")
    assert (answer.body, answer.reset) == (DATA, False)


def test_corrupt_changes_a_byte_on_the_way_and_not_on_the_disk(ngas, client):
    ngas.put("a.fits", DATA)
    ngas.faults.add("corrupt", bytes=300, times=1)
    body = client.get("/RETRIEVE?file_id=a.fits").body
    assert [place for place, pair in enumerate(zip(body, DATA, strict=True)) if pair[0] != pair[1]] == [300]
    assert client.get("/RETRIEVE?file_id=a.fits").body == DATA


def test_corrupted_upload_is_found_by_its_checksum(ngas, client):
    ngas.faults.add("corrupt", bytes=300, times=1)
    announced = str(zlib.crc32(DATA))
    assert "Checksum error" in client.archive("a.fits", DATA, NGAS_File_CRC=announced).message
    assert client.archive("a.fits", DATA, NGAS_File_CRC=announced).status == 200


def test_stall_sends_so_many_bytes_and_closes_silently(tmp_path, client_of):
    with NgasServer(tmp_path / "other", stall_seconds=0.2) as ngas:
        ngas.put("a.fits", DATA)
        ngas.faults.add("stall", bytes=1000)
        started = time.monotonic()
        answer = client_of(ngas).get("/RETRIEVE?file_id=a.fits")
        assert (answer.body, answer.reset) == (DATA[:1000], False)
        assert time.monotonic() - started >= 0.2


def test_slow_takes_its_time(ngas, client):
    ngas.put("a.fits", DATA)
    ngas.faults.add("slow", rate=len(DATA) * 5)
    started = time.monotonic()
    assert client.get("/RETRIEVE?file_id=a.fits").body == DATA
    assert time.monotonic() - started > 0.15


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_wrong_size_is_served_with_a_content_length_that_fits(ngas, client, size):
    ngas.put("a.fits", DATA)
    ngas.faults.add("wrong_size", bytes=size)
    answer = client.get("/RETRIEVE?file_id=a.fits")
    assert answer.body == (DATA + b"\0")[:size]
    assert answer.headers["Content-Length"] == str(size)


def test_busy_503_and_a_reset_so_many_times(ngas, client):
    ngas.faults.add("busy", command="STATUS", times=2)
    answers = [client.get("/STATUS") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[0].reset


def test_empty_reply(ngas, client):
    ngas.faults.add("empty_reply", times=1)
    assert client.get("/STATUS").raw == b""


def test_delay(ngas, client):
    ngas.faults.add("delay", seconds=0.1)
    started = time.monotonic()
    assert client.get("/STATUS").status == 200
    assert time.monotonic() - started >= 0.1


def test_delete_stored_leaves_the_row(ngas, client):
    ngas.put("a.fits", DATA)
    ngas.faults.add("delete_stored", command="RETRIEVE", times=1)
    assert client.get("/RETRIEVE?file_id=a.fits").raw == b""
    assert client.get("/STATUS?file_id=a.fits").status == 200


def test_faults_hit_only_named_files_and_commands(ngas, client):
    for file_id in ("a.fits", "b.fits"):
        ngas.put(file_id, DATA)
    ngas.faults.add("refuse", command="RETRIEVE", file_id="a*")
    assert client.get("/RETRIEVE?file_id=a.fits").status == 403
    assert client.get("/RETRIEVE?file_id=b.fits").status == 200
    assert client.get("/STATUS?file_id=a.fits").status == 200


def test_inapplicable_fault_is_not_used_up(ngas, client):
    ngas.put("a.fits", DATA)
    fault = ngas.faults.add("cut", bytes=1, times=1)
    client.get("/STATUS?file_id=a.fits")
    assert fault.hits == 0


def test_cleared_faults_are_gone(ngas, client):
    ngas.faults.add("busy")
    ngas.faults.clear()
    assert client.get("/STATUS").status == 200


@pytest.mark.parametrize(("kind", "options"), [("nonsense", {}), ("slow", {})])
def test_a_fault_that_makes_no_sense_is_refused(kind, options):
    with pytest.raises(ValueError, match=kind):
        Faults().add(kind, **options)


def test_the_file_is_read_again_when_it_changes(tmp_path):
    file = tmp_path / "faults.json"
    faults = Faults(file)
    assert faults.take("STATUS", "") == {}
    write(file, [{"kind": "busy", "times": 2}])
    assert list(faults.take("STATUS", "")) == ["busy"]
    write(file, [{"kind": "busy", "times": 2}, {"kind": "offline"}])
    assert sorted(faults.take("STATUS", "")) == ["busy", "offline"]
    assert list(faults.take("STATUS", "")) == ["offline"], "what stands there as before keeps its count"
    file.unlink()
    assert faults.take("STATUS", "") == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"faults": [{"kind": "nonsense"}]}', '{"faults": [{"times": 1}]}'])
def test_a_file_that_cannot_be_used_leaves_the_former_faults(tmp_path, content):
    file = tmp_path / "faults.json"
    faults = Faults(file)
    write(file, [{"kind": "offline"}])
    assert faults.take("STATUS", "")
    file.write_text(content)
    assert faults.take("STATUS", "")


def test_an_unknown_attribute_in_the_file_is_refused(tmp_path, caplog):
    file = tmp_path / "faults.json"
    write(file, [{"kind": "offline", "colour": "red"}])
    assert Faults(file).take("STATUS", "") == {}
    assert "colour" in caplog.text


def test_every_kind_is_tried_somewhere_in_these_tests():
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [kind for kind in KINDS if f'faults.add("{kind}"' not in texts] == []


def write(file, faults):
    file.write_text(json.dumps({"faults": faults}))
    # Two writes within one tick of the file system's clock would look the same.
    os.utime(file, ns=(time.time_ns(), time.time_ns()))
