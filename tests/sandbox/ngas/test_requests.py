"""How often something was really asked, counted at the receiver."""

from __future__ import annotations

import json

from sandbox.ngas.server import NgasServer


def test_requests_are_counted_by_command_file_and_status(ngas, client):
    client.archive("a.fits", b"data")
    client.get("/RETRIEVE?file_id=a.fits")
    client.get("/RETRIEVE?file_id=a.fits", Range="bytes=2-")
    client.get("/RETRIEVE?file_id=b.fits")
    assert ngas.requests.count("ARCHIVE", "a.fits") == 1
    assert ngas.requests.count("RETRIEVE") == 3
    assert ngas.requests.count("RETRIEVE", "a.fits") == 2
    assert ngas.requests.count("RETRIEVE", status=400) == 1
    assert [request.range_start for request in ngas.requests] == [0, 0, 2, 0]


def test_a_request_without_a_reply_is_counted_too(ngas, client):
    ngas.faults.add("reply_lost")
    client.archive("a.fits", b"data")
    assert [(request.command, request.status, request.received) for request in ngas.requests] == [("ARCHIVE", 0, 4)]


def test_forgotten_requests_are_no_longer_counted(ngas, client):
    client.get("/STATUS")
    ngas.requests.clear()
    assert len(ngas.requests) == 0


def test_the_access_log_has_a_line_of_json_for_each_request(tmp_path, client_of):
    with NgasServer(tmp_path) as ngas:
        client_of(ngas).archive("a.fits", b"data")
        client_of(ngas).ask("HEAD", "/STATUS")
        client_of(ngas).get("/STATUS?file_id=a.fits")
    lines = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert [(line["method"], line["command"], line["file_id"], line["status"]) for line in lines] == [
        ("POST", "ARCHIVE", "a.fits", 200),
        ("HEAD", "STATUS", "", 0),
        ("GET", "STATUS", "a.fits", 200),
    ]
    assert lines[0]["version"] == 1
    assert lines[0]["received"] == 4
