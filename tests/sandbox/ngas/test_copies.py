"""Copies, nodes, rights and mime types: what a client meets at NGAS when not everything is well."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from sandbox.ngas import DEVIATIONS
from sandbox.ngas.call import SAMPLE_MIME_TYPES, Configuration
from sandbox.ngas.commands import COMMANDS
from sandbox.ngas.server import NgasServer

DATA = bytes(range(256)) * 4
SEEN_ON_POSTGRESQL = Path(__file__).parent / "query_on_postgresql.json"


@pytest.fixture
def start(tmp_path):
    """Start further servers, which end with the test."""
    servers = []

    def begin(**options):
        server = NgasServer(tmp_path / f"server{len(servers)}", stall_seconds=10, **options)
        servers.append(server)
        return server.__enter__()

    yield begin
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def cluster(start, client_of):
    """Two nodes with one index; a file of the second, and clients of both."""

    def begin(**configuration):
        first = start(configuration=Configuration(**configuration))
        second = start(cluster=first, volumes=("sandbox-volume-3", "sandbox-volume-4"))
        second.put("far", DATA)
        return first, second, client_of(first), client_of(second)

    return begin


def damage(server, disk, file_id="a"):
    path = server.store.path(server.store.copies(file_id, None, disk)[0])
    path.write_bytes(b"!" + path.read_bytes()[1:])


def test_replication_puts_each_version_onto_two_disks(start, client_of):
    client = client_of(start(configuration=Configuration(replication=True)))
    client.archive("a", DATA)
    assert sorted((row["disk_id"], row["file_version"]) for row in client.rows("a")) == [
        ("sandbox-volume-1", 1),
        ("sandbox-volume-2", 1),
    ]


def test_checkfile_and_retrieve_may_use_different_copies(ngas, client):
    ngas.put("a", DATA, copies=2)
    damage(ngas, "sandbox-volume-2")
    assert "4056" in client.get("/CHECKFILE?file_id=a&file_version=1").message
    assert client.get("/RETRIEVE?file_id=a").body == b"!" + DATA[1:]
    by_disk = [
        client.get(f"/CHECKFILE?file_id=a&file_version=1&disk_id=sandbox-volume-{number}").message.split(":")[1]
        for number in (1, 2)
    ]
    assert by_disk == ["4056", "4057"]
    assert client.get("/RETRIEVE?file_id=a&disk_id=sandbox-volume-1").body == DATA


def test_missing_copy_is_4019_when_asked_by_disk(ngas, client):
    ngas.put("a", DATA, copies=2)
    ngas.store.path(ngas.store.copies("a")[0]).unlink()
    assert "Disk ID: sandbox-volume-2" in client.get("/CHECKFILE?file_id=a&file_version=1").message
    assert "4019" in client.get("/CHECKFILE?file_id=a&file_version=1&disk_id=sandbox-volume-1").message
    assert client.get("/RETRIEVE?file_id=a&disk_id=sandbox-volume-1").raw == b""


def test_a_clone_of_a_damaged_copy_says_success_and_makes_none(ngas, client):
    ngas.put("a", DATA)
    damage(ngas, "sandbox-volume-1")
    assert client.get("/CLONE?file_id=a").element("Status")["Status"] == "SUCCESS"
    assert len(client.rows("a")) == 1


def test_sizes_on_postgresql_are_floats(start, client_of):
    client = client_of(start(configuration=Configuration(numeric_sizes=True)))
    client.archive("cal_1.tar", bytes(20480))
    (row,) = client.rows("cal_1.tar")
    (seen,) = json.loads(SEEN_ON_POSTGRESQL.read_bytes())
    assert list(row) == list(seen)
    assert {name: type(value) for name, value in row.items()} == {name: type(value) for name, value in seen.items()}
    assert b'"file_size": 20480.0,' in client.get("/QUERY?query=files_like&like=%25&format=json").body


def test_node_redirects_or_proxies_to_the_owner(cluster):
    _, second, client, _ = cluster()
    for command in ("RETRIEVE", "CHECKFILE"):
        answer = client.get(f"/{command}?file_id=far&file_version=1")
        assert answer.status == 303
        assert answer.headers["Location"] == f"{second.url}/{command}?file_id=far&file_version=1"
    _, _, client, _ = cluster(proxy_mode=True)
    answer = client.get("/RETRIEVE?file_id=far", Range="bytes=1000-")
    assert (answer.status, answer.body) == (200, DATA[1000:])
    assert "4056" in client.get("/CHECKFILE?file_id=far").message


@pytest.mark.parametrize("proxy_mode", [True, False])
def test_file_on_a_missing_node_is_4019_but_listed(cluster, proxy_mode):
    _, second, client, _ = cluster(proxy_mode=proxy_mode)
    second.__exit__(None, None, None)
    for command in ("RETRIEVE", "CHECKFILE"):
        answer = client.get(f"/{command}?file_id=far&file_version=1")
        assert answer.status == 400
        assert answer.message.startswith("NGAMS_ER_UNAVAIL_FILE:4019")
    assert [row["disk_id"] for row in client.rows("far")] == ["sandbox-volume-3"]


def test_killed_proxy_node_ends_the_connection(cluster):
    _, second, client, _ = cluster(proxy_mode=True)
    second.faults.add("stall", command="RETRIEVE", bytes=100)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(client.get("/RETRIEVE?file_id=far")))
    asking.start()
    while not any(request.sent for request in second.requests):
        asking.join(0.005)
    second.__exit__(None, None, None)
    asking.join(10)
    (answer,) = answers
    assert (answer.body, answer.headers["Content-Length"]) == (DATA[:100], str(len(DATA)))


def test_full_volume_closes_connection_but_is_online(ngas, client):
    ngas.faults.add("volume_full")
    assert client.archive("a", bytes(4_000_000)).raw == b""
    assert client.get("/STATUS").element("Status")["State"] == "ONLINE"
    assert ngas.store.like("%") == []
    disks = json.loads(client.get("/QUERY?query=disks_list&format=json").body)
    assert {disk["available_mb"] for disk in disks} == {0}


def test_rights_are_per_command_403_and_a_wrong_login_is_401(start, client_of):
    allowed = Configuration(commands=frozenset({"STATUS", "QUERY"}))
    client = client_of(start(user="vlapipe", password="x", configuration=allowed))
    right = {"Authorization": "Basic dmxhcGlwZTp4"}
    assert client.get("/STATUS").status == 401
    assert client.get("/STATUS", **right).status == 200
    assert client.get("/CHECKFILE?file_id=a", **right).status == 403
    assert client.archive("a", DATA, **right).status == 403


@pytest.mark.parametrize("mime_type", SAMPLE_MIME_TYPES)
def test_the_sample_configuration_refuses_what_products_are(start, client_of, mime_type):
    server = start(configuration=Configuration(refused_mime_types=SAMPLE_MIME_TYPES))
    answer = client_of(server).ask("POST", f"/ARCHIVE?filename=a&mime_type={mime_type}", DATA)
    assert answer.status == 400
    if mime_type == "application/x-gzip":
        assert answer.message.startswith("NGAMS_ER_UNKNOWN_MIME_TYPE2:4047:")
    else:
        assert answer.message == SAMPLE_MIME_TYPES[mime_type]
    assert server.store.like("%") == []


# The commands that ICRAR's release 12 loads, by the files of its ngamsServer/commands.
REAL = (
    "ARCHIVE BBCPARC CACHEDEL CAPPEND CARCHIVE CCREATE CDESTROY CHECKFILE CLIST CLONE CREMOVE CRETRIEVE DISCARD HELP "
    "INIT LABEL LARCHIVE OFFLINE ONLINE QARCHIVE QUERY REARCHIVE REGISTER REMDISK REMFILE RETRIEVE STATUS SUBSCRIBE "
    "UNSUBSCRIBE"
)


def test_every_real_command_is_there_or_a_known_deviation():
    assert set(REAL.split()) - set(COMMANDS) == {name for name in DEVIATIONS if name in REAL.split()} - {"QUERY"}
    assert set(COMMANDS) <= set(REAL.split())
    assert all(DEVIATIONS.values())
