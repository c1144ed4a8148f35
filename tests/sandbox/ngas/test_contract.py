"""What holds for any NGAS: the embedded one, or the real one that ``SRDP_TEST_NGAS_URL`` names.

A real one needs a stream for ``application/octet-stream``, and a second volume for the tests of copies.
"""

from __future__ import annotations

import json
import uuid
import zlib
from itertools import pairwise

import pytest


@pytest.fixture
def file_id():
    return f"srdp-test-{uuid.uuid4()}"


@pytest.fixture
def two_copies(any_client, file_id):
    """A file with a copy on each of two disks; returns its ID and the disks."""
    any_client.archive(file_id, b"0123456789")
    answer = any_client.get(f"/CLONE?file_id={file_id}&file_version=1")
    assert (answer.status, answer.message) == (200, "Successfully handled command CLONE")
    disks = sorted(str(row["disk_id"]) for row in any_client.rows(file_id))
    if len(disks) < 2:
        pytest.skip("this NGAS has no second volume that a copy could be cloned to")
    return file_id, disks


def test_unknown_command_404(any_client):
    answer = any_client.get("/NOSUCHTHING")
    assert (answer.status, answer.element("Status")["Status"]) == (404, "FAILURE")


@pytest.mark.parametrize(
    "headers",
    [{"Content_Length": "0"}, {"Content_Length": ""}, {"Transfer_Encoding": "chunked", "Content_Length": ""}],
    ids=["0", "missing", "chunked"],
)
def test_content_length_0_missing_or_chunked_411(any_client, file_id, headers):
    assert any_client.archive(file_id, b"", **headers).status == 411
    assert any_client.rows(file_id) == []


def test_what_is_archived_is_listed_described_checked_and_served(any_client, file_id):
    data = b"0123456789"
    stored = any_client.archive(file_id, data, NGAS_File_CRC=str(zlib.crc32(data))).element("DiskStatus/FileStatus")
    assert {"FileId": file_id, "FileVersion": "1", "Checksum": str(zlib.crc32(data))}.items() <= stored.items()
    (row,) = any_client.rows(file_id)
    assert (row["file_version"], row["file_size"], row["checksum"]) == (1, 10, str(zlib.crc32(data)))
    status = any_client.get(f"/STATUS?file_id={file_id}")
    assert (status.status, int(float(status.element("FileStatus")["FileSize"]))) == (200, 10)
    check = any_client.get(f"/CHECKFILE?file_id={file_id}&file_version=1")
    assert (check.status, check.element("Status")["Status"]) == (200, "SUCCESS")
    assert check.message.startswith("NGAMS_INFO_FILE_OK:4056:")
    assert any_client.get(f"/RETRIEVE?file_id={file_id}").body == data


def test_file_id_defaults_to_the_basename(any_client, file_id):
    target = f"/ARCHIVE?filename=/some/where/{file_id}&mime_type=application/octet-stream"
    any_client.ask("POST", target, b"data")
    any_client.ask("POST", f"{target}&file_id={file_id}-other", b"data")
    assert [len(any_client.rows(name)) for name in (file_id, f"{file_id}-other")] == [1, 1]


def test_filename_is_decoded_twice_and_file_id_once(any_client, file_id):
    target = "/ARCHIVE?mime_type=application/octet-stream&filename="
    any_client.ask("POST", f"{target}{file_id}%2520x", b"data")
    any_client.ask("POST", f"{target}x&file_id={file_id}%2520y", b"data")
    names = (f"{file_id} x", f"{file_id}%20x", f"{file_id} y", f"{file_id}%20y")
    assert [len(any_client.rows(name)) for name in names] == [1, 0, 0, 1]


def test_same_file_id_makes_version_2_and_serves_it(any_client, file_id):
    versions = [any_client.archive(file_id, data).element("FileStatus")["FileVersion"] for data in (b"1st", b"second")]
    assert versions == ["1", "2"]
    assert any_client.get(f"/RETRIEVE?file_id={file_id}").body == b"second"
    assert any_client.get(f"/RETRIEVE?file_id={file_id}&file_version=1").body == b"1st"
    assert "File Version: 1/" in any_client.get(f"/CHECKFILE?file_id={file_id}").message


def test_wrong_checksum_is_400_and_stores_nothing(any_client, file_id):
    answer = any_client.archive(file_id, b"data", NGAS_File_CRC=str(zlib.crc32(b"date")))
    assert answer.status == 400
    assert answer.message.startswith("Checksum error")
    assert any_client.rows(file_id) == []


def test_range_is_200_with_content_range(any_client, file_id):
    any_client.archive(file_id, b"0123456789")
    answer = any_client.get(f"/RETRIEVE?file_id={file_id}", Range="bytes=4-")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"456789", "6")
    assert answer.headers["Content-Range"] == "bytes 4-9/10"
    for form in ("bytes=2-5", "bytes=-3", "lines=x-"):
        assert "Invalid Range" in any_client.get(f"/RETRIEVE?file_id={file_id}", Range=form).message


def test_head_gets_an_empty_reply(any_client, file_id):
    any_client.archive(file_id, b"data")
    assert any_client.ask("HEAD", f"/RETRIEVE?file_id={file_id}").raw == b""


@pytest.mark.parametrize("command", ["STATUS", "RETRIEVE", "CHECKFILE"])
def test_an_unknown_file_is_400_4019(any_client, file_id, command):
    answer = any_client.get(f"/{command}?file_id={file_id}")
    assert answer.status == 400
    assert answer.message.startswith("NGAMS_ER_UNAVAIL_FILE:4019")


@pytest.mark.parametrize(("mime_type", "status"), [("", 200), ("&mime_type=no/such-type-here!", 400)])
def test_mime_type_without_a_stream_is_4047(any_client, file_id, mime_type, status):
    answer = any_client.ask("POST", f"/ARCHIVE?filename={file_id}.bin{mime_type}", b"data")
    assert answer.status == status
    assert ("NGAMS_ER_UNKNOWN_MIME_TYPE2:4047:" in answer.message) is (status == 400)


def test_filename_missing_is_4013(any_client):
    answer = any_client.ask("POST", "/ARCHIVE?mime_type=application/octet-stream", b"data")
    assert answer.message.startswith("NGAMS_ER_MISSING_URI:4013:")


def test_query_answers_json_only_when_asked(any_client, file_id):
    kinds = [
        any_client.get(f"/QUERY?query=files_like&like={file_id}{more}").headers["Content-Type"]
        for more in ("", "&format=json")
    ]
    assert kinds == ["application/python-list", "application/json"]


def test_copies_are_listed_checked_and_served_by_disk(any_client, two_copies):
    file_id, disks = two_copies
    assert all(one != other for one, other in pairwise(disks))
    for disk in disks:
        check = any_client.get(f"/CHECKFILE?file_id={file_id}&file_version=1&disk_id={disk}")
        assert f"/Disk ID: {disk}/" in check.message
        assert check.message.startswith("NGAMS_INFO_FILE_OK:4056:")
        assert any_client.get(f"/RETRIEVE?file_id={file_id}&file_version=1&disk_id={disk}").body == b"0123456789"


def test_a_disk_without_the_file_is_4019(any_client, two_copies):
    file_id, _ = two_copies
    for command in ("CHECKFILE", "RETRIEVE"):
        answer = any_client.get(f"/{command}?file_id={file_id}&file_version=1&disk_id=none")
        assert (answer.status, "4019" in answer.message) == (400, True)


def test_a_clone_is_no_further_version(any_client, two_copies):
    file_id, _ = two_copies
    assert {row["file_version"] for row in any_client.rows(file_id)} == {1}


def test_disks_are_listed_with_their_node(any_client, two_copies):
    _, disks = two_copies
    rows = any_client.get("/QUERY?query=disks_list&format=json")
    assert rows.headers["Content-Type"] == "application/json"
    listed = {row["disk_id"]: row for row in json.loads(rows.body)}
    assert set(disks) <= set(listed)
    assert any_client.get("/STATUS").element("Status")["HostId"] in {row["host_id"] for row in listed.values()}
    assert all("available_mb" in row for row in listed.values())
