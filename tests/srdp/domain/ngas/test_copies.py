"""Which copies in NGAS are ours, and when one is proved."""

from __future__ import annotations

import zlib

import pytest
import requests
from tests.fetching import StallingServer, pattern, server_name

from sandbox.ngas.call import Configuration
from sandbox.ngas.server import NgasServer
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable
from srdp.domain.ngas.archived_files import ArchivedFile
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.connections import ConnectionStalled
from srdp.domain.ngas.copies import CopyState
from srdp.domain.ngas.proof import NoGoodCopy, NoGoodCopyNow, find_copy, own_versions, prove_all, prove_archived
from srdp.domain.ngas.status import NgasFileUnavailable, StoredFile

ID = "vla-20240101T000000-abcd.calibration.tar"
DATA = pattern(40_002)  # its checksum is one that old records have as a negative number
STORED = ArchivedFile(ID, 1, len(DATA), zlib.crc32(DATA))


def record(version, size=7, checksum=9, kind="crc32", file_id="a"):
    return StoredFile(file_id, version, size, checksum, kind)


@pytest.mark.parametrize("kind", ["crc32", "crc32z", "ngamsGenCrc32", "StreamCrc32"])
def test_every_name_of_the_checksum_is_known(kind):
    assert own_versions("host:1", "a", 7, 9, [record(1, kind=kind)]) == (1,)


def test_versions_are_listed_once_in_order():
    records = [record(3), record(1), record(1), record(2, size=1, file_id="A")]
    assert own_versions("host:1", "a", 7, 9, records) == (1, 3)
    assert own_versions("host:1", "a", 7, 9, []) == ()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (record(2, size=8), "version 2 with 8 bytes and the checksum 9 ('crc32')"),
        (record(2, checksum=8), "version 2 with 7 bytes and the checksum 8 ('crc32')"),
        (record(2, checksum=None, kind=""), "version 2 with 7 bytes and no checksum"),
        (record(2, kind="crc32c"), "version 2 with 7 bytes and the checksum 9 ('crc32c')"),
        (record(2, kind="md5\nSubject: x"), "version 2 with 7 bytes and the checksum 9 ('md5\\nSubject: x')"),
        (record(1, size=8), "version 1 with 8 bytes and the checksum 9 ('crc32')"),
    ],
)
def test_a_single_other_record_is_named_beside_ours(other, said):
    with pytest.raises(IntegrityError) as refused:
        own_versions("host:1", "a", 7, 9, [record(1), other])
    assert str(refused.value) == (
        f"NGAS server host:1 holds something else under 'a': {said}; ours has 7 bytes and the CRC-32 9. Ask the "
        "operators of NGAS who stored it."
    )


def test_a_sentence_stays_short_however_many_others_there_are():
    with pytest.raises(IntegrityError) as refused:
        own_versions("host:1", "a", 7, 9, [record(version, size=8) for version in range(1, 1000)])
    assert len(str(refused.value)) < 400


def test_signed_checksum_is_read_as_unsigned():
    assert ArchivedFile("a", 1, 7, -1) == ArchivedFile("a", 1, 7, 2**32 - 1)
    with pytest.raises(InvalidInput):
        ArchivedFile("a", 1, 7, 2**32)


# From here on: against a server.


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", stall_seconds=20) as server:
        yield server


@pytest.fixture
def client(ngas):
    return NgasClient(server_name(ngas), stall_seconds=2)


@pytest.mark.servers
def test_what_is_archived_is_proved(ngas, client):
    ngas.put(ID, DATA, signed=True)
    assert int(ngas.store.find(ID).checksum) < 0
    prove_archived(client, STORED)
    prove_archived(client, ArchivedFile(ID, 1, len(DATA), zlib.crc32(DATA) - 2**32))
    proofs, unproved = prove_all(client, [STORED])
    assert ([proof.file for proof in proofs], unproved) == ([STORED], ())


@pytest.mark.servers
@pytest.mark.parametrize(
    ("are", "error", "said"),
    [
        ("corrupt_stored", IntegrityError, "corrupt"),
        ("truncate_stored", IntegrityError, "corrupt"),
        ("delete_stored", NoGoodCopy, "its file is gone from there"),
    ],
)
def test_a_server_that_calls_it_a_success_is_not_believed(ngas, client, are, error, said):
    ngas.put(ID, DATA)
    ngas.faults.add(are, command="STATUS", times=1)
    assert client.status(ID).succeeded
    with pytest.raises(error, match=said):
        prove_archived(client, STORED)


@pytest.mark.servers
@pytest.mark.parametrize(
    "contents",
    [[DATA[:-1]], [DATA[:-1] + b"?"], [DATA, b"somebody else's"], [b"somebody else's", DATA]],
    ids=["cut off before it was recorded", "other bytes", "version 2 from somebody else", "version 1 from others"],
)
def test_a_file_that_is_not_the_recorded_one_is_no_proof(ngas, client, contents):
    for content in contents:
        ngas.put(ID, content)
    with pytest.raises(IntegrityError, match="something else"):
        prove_archived(client, STORED)


@pytest.mark.servers
def test_another_good_version_proves_nothing_of_the_recorded_one(ngas, client):
    ngas.put(ID, DATA)
    with pytest.raises(NgasFileUnavailable):
        prove_archived(client, ArchivedFile(ID, 2, len(DATA), zlib.crc32(DATA)))
    ngas.put(ID, DATA)
    ngas.faults.add("corrupt_stored", command="CHECKFILE", times=1)
    with pytest.raises(IntegrityError, match="version 2 on disk 'sandbox-volume-1' corrupt"):
        prove_archived(client, ArchivedFile(ID, 2, len(DATA), zlib.crc32(DATA)))


@pytest.mark.servers
@pytest.mark.parametrize("fault", ["busy", "offline", "empty_reply", "reply_lost", "delay"])
@pytest.mark.parametrize("there", [True, False])
def test_unanswering_server_does_not_mean_missing_file(ngas, fault, there):
    if there:
        ngas.put(ID, DATA)
    ngas.faults.add(fault, seconds=1.0)
    with pytest.raises(ServiceUnavailable):
        prove_archived(NgasClient(server_name(ngas), stall_seconds=0.3), STORED)


@pytest.mark.servers
def test_every_file_that_is_not_proved_is_named(ngas, client):
    files = [ArchivedFile(name, 1, len(DATA), zlib.crc32(DATA)) for name in ("good", "gone", "corrupt", "busy", "last")]
    for file in files:
        ngas.put(file.file_id, DATA)
    ngas.faults.add("delete_stored", command="CHECKFILE", file_id="gone")
    ngas.faults.add("corrupt_stored", command="CHECKFILE", file_id="corrupt", times=1)
    ngas.faults.add("busy", command="CHECKFILE", file_id="busy")
    proofs, found = prove_all(client, files)
    assert [proof.file.file_id for proof in proofs] == ["good", "last"]
    assert [(item.file.file_id, type(item.error)) for item in found] == [
        ("gone", NoGoodCopy),
        ("corrupt", NoGoodCopy),
        ("busy", NoGoodCopyNow),
    ]
    assert [len(item.damaged) for item in found] == [1, 1, 0]
    assert all(item.file.file_id in item.why or isinstance(item.error, ServiceUnavailable) for item in found)


def test_silent_server_is_not_asked_about_every_file():
    files = [ArchivedFile(name, 1, len(DATA), zlib.crc32(DATA)) for name in ("one", "two", "three")]
    with StallingServer() as stalling:
        _, found = prove_all(NgasClient(stalling.name, stall_seconds=0.1), files)
    assert [(item.file.file_id, type(item.error)) for item in found] == [
        (file.file_id, ConnectionStalled) for file in files
    ]
    assert stalling.asked == ["QUERY"]


@pytest.mark.servers
def test_a_server_is_given_time_to_read_a_large_file(ngas):
    ngas.put(ID, DATA)
    ngas.faults.add("delay", command="CHECKFILE", seconds=0.6)
    impatient = NgasClient(server_name(ngas), stall_seconds=0.3)
    with pytest.raises(ServiceUnavailable):
        impatient.check_file(ID, 1)
    impatient.check_file(ID, 1, size_bytes=100_000_000)


# From here on: a file with several copies, and with several nodes.


def damage(ngas, number, how):
    """Do something to the copy on the disk of this number."""
    path = ngas.store.path(ngas.store.copies(ID, None, ngas.store.volumes[number - 1])[0])
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(DATA[:-1] if how == "cut off" else b"!" + DATA[1:])


@pytest.mark.servers
@pytest.mark.parametrize("how", ["changed", "cut off", "gone"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_copy_beside_a_good_one_is_reported_by_its_disk(ngas, client, number, how):
    ngas.put(ID, DATA, copies=2)
    damage(ngas, number, how)
    proof = prove_archived(client, STORED)
    (damaged,) = proof.damaged
    assert (damaged.disk_id, damaged.version, damaged.server) == (ngas.store.volumes[number - 1], 1, client.server)
    assert damaged.disk_id in damaged.why
    assert find_copy(client, ID, len(DATA), zlib.crc32(DATA)).damaged == (damaged,)
    path = ngas.store.path(ngas.store.copies(ID, None, damaged.disk_id)[0])
    path.unlink(missing_ok=True)
    path.write_bytes(DATA)
    assert prove_archived(client, STORED).damaged == ()


@pytest.mark.servers
def test_all_copies_damaged_is_no_proof_and_no_resend(ngas, client):
    ngas.put(ID, DATA, copies=2)
    damage(ngas, 1, "gone")
    damage(ngas, 2, "changed")
    for ask in (prove_archived, lambda client, file: find_copy(client, ID, file.size_bytes, file.crc32)):
        with pytest.raises(NoGoodCopy) as caught:
            ask(client, STORED)
        assert [copy.disk_id for copy in caught.value.damaged] == list(ngas.store.volumes)


@pytest.mark.servers
def test_a_copy_that_appears_later_is_proved_from_then_on(ngas, client):
    ngas.put(ID, DATA)
    assert len(prove_archived(client, STORED).copies) == 1
    assert "SUCCESS" in requests.get(f"{ngas.url}/CLONE?file_id={ID}", timeout=10).text
    assert len(prove_archived(client, STORED).copies) == 2
    damage(ngas, 2, "changed")
    assert [copy.disk_id for copy in prove_archived(client, STORED).damaged] == [ngas.store.volumes[1]]


@pytest.mark.servers
@pytest.mark.parametrize("proxy_mode", [True, False])
def test_missing_node_means_retry_and_missing_row_means_gone(tmp_path, proxy_mode):
    with NgasServer(tmp_path / "near", configuration=Configuration(proxy_mode=proxy_mode)) as near:
        client = NgasClient(server_name(near), stall_seconds=2)
        with NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2")) as far:
            far.put(ID, DATA)
            assert [copy.disk_id for copy in prove_archived(client, STORED).copies] == ["far-1"]
        for ask in (prove_archived, lambda client, file: find_copy(client, ID, file.size_bytes, file.crc32)):
            with pytest.raises(ServiceUnavailable, match=r"'far-1'.*the node that has the disk is away"):
                ask(client, STORED)
        with pytest.raises(NgasFileUnavailable, match="does not have the file"):
            prove_archived(client, ArchivedFile("another", 1, 7, 7))
        near.put(ID, DATA[:-1])  # somebody else's version 2, which has another size
        with pytest.raises(IntegrityError, match="something else"):
            prove_archived(client, STORED)


@pytest.mark.servers
def test_a_good_copy_here_beside_one_on_a_node_that_is_away(tmp_path):
    with NgasServer(tmp_path / "near", configuration=Configuration(proxy_mode=True)) as near:
        near.put(ID, DATA)
        with NgasServer(tmp_path / "far", cluster=near, volumes=("far-1", "far-2")) as far:
            assert "SUCCESS" in requests.get(f"{far.url}/CLONE?file_id={ID}", timeout=10).text
        proof = prove_archived(NgasClient(server_name(near), stall_seconds=2), STORED)
        assert [(copy.disk_id, copy.state) for copy in proof.copies] == [
            ("far-1", CopyState.AWAY),
            (near.store.volumes[0], CopyState.GOOD),
        ]
        assert proof.damaged == ()


@pytest.mark.servers
def test_a_server_on_postgresql_is_understood(tmp_path):
    with NgasServer(tmp_path / "ngas", configuration=Configuration(numeric_sizes=True)) as ngas:
        ngas.put(ID, DATA)
        assert prove_archived(NgasClient(server_name(ngas)), STORED).damaged == ()
