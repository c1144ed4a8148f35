"""The probe of NGAS: what a person must change before the first run, found with files of a few bytes."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from gzip import decompress

import pytest
from astropy.io import fits
from tests.fetching import server_name

from sandbox.ngas.call import SAMPLE_MIME_TYPES, Configuration
from sandbox.ngas.server import NgasServer
from srdp.hooks.ngas import NgasHook
from srdp.hooks.ngas_probe import RIGHTS, probe_file, probe_ngas

MIME_TYPES = ("application/x-tar", "image/x-fits", "application/x-gzip")
LOGIN = {"login": "vlapipe", "password": "secret"}


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a server with an account, and return it with the hook of a connection to it."""
    servers = []

    def begin(**configuration):
        server = NgasServer(
            tmp_path / f"ngas{len(servers)}", user="vlapipe", password="secret",
            configuration=Configuration(**configuration),
        )  # fmt: skip
        servers.append(server)
        return server.__enter__(), connect(monkeypatch, server)

    yield begin
    for server in servers:
        server.__exit__(None, None, None)


def connect(monkeypatch, server, **login):
    fields = {"conn_type": "http", "host": "127.0.0.1", "port": server.port, **(login or LOGIN)}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(fields))
    return NgasHook("srdp_ngas")


def test_each_mime_type_is_archived_once_for_ever_and_each_copy_looked_at(start):
    server, hook = start(replication=True)
    first = probe_ngas(hook, [*MIME_TYPES, MIME_TYPES[0]])
    assert (first.problems, first.is_right) == ((), True)
    assert first.archived == tuple(sorted(MIME_TYPES))
    assert first.disks == dict.fromkeys(sorted(MIME_TYPES), server.store.volumes)
    assert first.node == server.node.host_id
    again = probe_ngas(hook, MIME_TYPES)
    assert (again.archived, again.disks, again.problems) == ((), first.disks, ())
    assert server.requests.count("ARCHIVE") == 3
    assert {row.file_version for row in server.store.like("srdp-probe%")} == {1}
    assert server_name(server) in str(again)
    assert server.node.host_id in str(again)


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_that_is_missing_is_named_once(start, right):
    server, hook = start(commands=frozenset(RIGHTS) - {right})
    if right != "ARCHIVE":
        for mime_type in MIME_TYPES:
            file_id, data = probe_file(mime_type)
            server.put(file_id, data, mime_type=mime_type)
    probe = probe_ngas(hook, MIME_TYPES)
    (problem,) = probe.problems
    assert problem.about == right
    assert f"lacks the right to {right} (HTTP 403)" in problem.sentence
    assert not probe.is_right
    if right == "QUERY":
        assert server.requests.count("ARCHIVE") == 0


def test_a_wrong_login_is_one_problem_and_nothing_else_is_asked(start, monkeypatch):
    server, _ = start()
    probe = probe_ngas(connect(monkeypatch, server, login="vlapipe", password="wrong"), MIME_TYPES)
    (problem,) = probe.problems
    assert "does not accept the login" in problem.sentence
    assert "HTTP 401" in problem.sentence
    assert len(server.requests) == 1


def test_every_mime_type_that_is_refused_is_named_with_what_the_configuration_needs(start):
    _, hook = start(refused_mime_types=SAMPLE_MIME_TYPES)
    probe = probe_ngas(hook, [*MIME_TYPES, "application/octet-stream"])
    assert [problem.about for problem in probe.problems] == sorted(MIME_TYPES)
    for problem in probe.problems:
        assert problem.about in problem.sentence
        assert "ngamsGenDapi" in problem.sentence
    assert "No module named" in str(probe)
    assert list(probe.disks) == ["application/octet-stream"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"!"), "corrupt"),
        (lambda path: path.unlink(), "its file is gone from there"),
    ],
)
def test_a_copy_that_is_damaged_is_named_by_its_disk(start, damage, said):
    server, hook = start(replication=True)
    probe_ngas(hook, MIME_TYPES)
    row = server.store.copies(probe_file("image/x-fits")[0])[1]
    damage(server.store.path(row))
    probe = probe_ngas(hook, MIME_TYPES)
    assert {problem.about for problem in probe.problems} == {"image/x-fits"}
    assert said in str(probe)
    assert row.disk_id in str(probe)
    assert [len(disks) for disks in probe.disks.values()] == [2, 2, 1]


def test_a_plug_in_that_changes_what_it_stores_is_reported(start):
    server, hook = start()
    server.put(probe_file("image/x-fits")[0], b"compressed")
    assert "the plug-in for image/x-fits changed it" in str(probe_ngas(hook, ["image/x-fits"]))
    assert server.requests.count("ARCHIVE") == 0


def test_a_server_that_is_full_or_away_is_reported(start):
    server, hook = start()
    server.faults.add("too_large", bytes=1)
    assert "no storage left" in str(probe_ngas(hook, ["image/x-fits"]))
    server.__exit__(None, None, None)
    (problem,) = probe_ngas(hook, MIME_TYPES).problems
    assert problem.about == server_name(server)
    assert "Connection refused" in problem.sentence


def test_the_files_are_of_their_kind_the_same_for_ever_and_their_ids_fit():
    files = {
        mime_type: probe_file(mime_type) for mime_type in (*MIME_TYPES, "application/octet-stream", "a" * 60 + "/b")
    }
    assert len({file_id for file_id, _ in files.values()}) == len(files)
    assert all(len(file_id) <= 64 for file_id, _ in files.values())
    with tarfile.open(fileobj=io.BytesIO(files["application/x-tar"][1])) as tar:
        assert tar.getnames() == ["probe.txt"]
    assert len(fits.open(io.BytesIO(files["image/x-fits"][1]))) == 1
    assert b"archived once" in decompress(files["application/x-gzip"][1])
    # Another file under an ID that is there already would be taken for a plug-in that changes what it stores.
    assert [zlib.crc32(files[mime_type][1]) for mime_type in MIME_TYPES] == [3954484479, 1798274525, 1281477273]
