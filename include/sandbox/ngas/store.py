"""Where a node keeps its files: two volumes on disk, and an index in SQLite that all nodes of a cluster share.

A file is received into a hidden staging name, renamed to its place, and only then entered into the index: a
server that is killed at any point has either the whole file or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sandbox.ngas.status import failure, timestamp

#: The column in which the real server keeps a file's ID is varchar(64).
LONGEST_FILE_ID = 64
#: The default disks of a node.
VOLUMES = ("sandbox-volume-1", "sandbox-volume-2")
_LONGEST_NAME_ON_DISK = 200
FILE_STATUS_GOOD = "00000000"
FILE_STATUS_BAD = "10000000"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ngas_files (
    disk_id TEXT NOT NULL,
    file_name TEXT NOT NULL,
    file_id TEXT NOT NULL,
    file_version INTEGER NOT NULL,
    format TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    uncompressed_file_size INTEGER NOT NULL,
    compression TEXT NOT NULL,
    ingestion_date TEXT NOT NULL,
    file_ignore INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    checksum_plugin TEXT NOT NULL,
    file_status TEXT NOT NULL,
    creation_date TEXT NOT NULL,
    io_time REAL NOT NULL,
    ingestion_rate REAL NOT NULL,
    container_id TEXT,
    PRIMARY KEY (file_id, file_version, disk_id)
)
"""
# What the index knows of disks: the node that has each, and where that one is reached.
_DISKS = """
CREATE TABLE IF NOT EXISTS ngas_disks (
    disk_id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    port INTEGER NOT NULL,
    mount_point TEXT NOT NULL
)
"""
_REGISTER = "INSERT OR REPLACE INTO ngas_disks VALUES (?, ?, ?, ?)"
_DISK_ROWS = "SELECT disk_id, host_id, port, mount_point FROM ngas_disks ORDER BY disk_id"
# A row that is already there gives way, as on the real server: two clients at once leave one row.
_INSERT = "INSERT OR REPLACE INTO ngas_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LATEST = "SELECT * FROM ngas_files WHERE file_id = ? ORDER BY file_version DESC, disk_id LIMIT 1"
_VERSION = "SELECT * FROM ngas_files WHERE file_id = ? AND file_version = ? ORDER BY disk_id LIMIT 1"
_COPIES = """
SELECT * FROM ngas_files
WHERE file_id = :file_id AND :disk_id IN ('', disk_id)
  AND file_version = coalesce(:version, (
      SELECT max(file_version) FROM ngas_files WHERE file_id = :file_id AND :disk_id IN ('', disk_id)))
ORDER BY disk_id
"""
_LIKE = "SELECT * FROM ngas_files WHERE file_id LIKE ? ORDER BY file_id, file_version, disk_id"
_SET_STATUS = "UPDATE ngas_files SET file_status = ? WHERE file_id = ? AND file_version = ? AND disk_id = ?"
_VOLUME_TOTALS = "SELECT count(*), coalesce(sum(file_size), 0) FROM ngas_files WHERE disk_id = ?"


_NUMERIC = ("file_size", "uncompressed_file_size", "io_time", "ingestion_rate")


@dataclass(frozen=True)
class StoredFile:
    """One version of a file on one disk: a row of ``ngas_files``, its columns in order.

    Attributes:
        file_name: where the file is, relative to its volume.
        file_size: in bytes.
        checksum: decimal; negative where an old record is signed.
        io_time: seconds that receiving took.
        ingestion_rate: bytes a second.
    """

    disk_id: str
    file_name: str
    file_id: str
    file_version: int
    format: str
    file_size: int
    uncompressed_file_size: int
    compression: str
    ingestion_date: str
    file_ignore: int
    checksum: str
    checksum_plugin: str
    file_status: str
    creation_date: str
    io_time: float
    ingestion_rate: float
    container_id: str | None

    def as_row(self, *, numeric: bool = False) -> dict[str, object]:
        """Return the row as column name and value, as QUERY gives it.

        Args:
            numeric: whether the database keeps sizes as NUMERIC, as PostgreSQL's schema does: the server makes floats
                of them on their way into JSON.
        """
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        return row | {name: float(row[name]) for name in _NUMERIC} if numeric else row


@dataclass(frozen=True)
class Received:
    """A file that is complete in the staging area.

    Attributes:
        staged: where it is.
        file_size: bytes received.
        checksum: decimal, computed while it came in.
        checksum_plugin: the checksum's name.
        format: its mime type.
        seconds: how long receiving took.
    """

    staged: Path
    file_size: int
    checksum: str
    checksum_plugin: str
    format: str
    seconds: float


@dataclass(frozen=True)
class Disk:
    """A disk of the cluster.

    Attributes:
        host_id: the node that has it.
        port: where that node is reached, on loopback.
        mount_point: where it is mounted there.
    """

    disk_id: str
    host_id: str
    port: int
    mount_point: str


class Store:
    """The volumes of a node and their index.

    Args:
        root: the directory that holds everything; made when it is missing.
        volumes: the IDs of its disks, which no other node of the cluster may have.
        index: the index that another node of the cluster has; None makes one of its own.

    Attributes:
        index_path: where the index is.
    """

    def __init__(self, root: Path, *, volumes: Sequence[str] = VOLUMES, index: Path | None = None) -> None:
        self.root = root
        self.volumes = tuple(volumes)
        self.index_path = index or root / "index.sqlite"
        self._staging = root / "staging"
        # What an earlier process was receiving when it was killed was never promised to anybody.
        shutil.rmtree(self._staging, ignore_errors=True)
        for directory in (self._staging, *(root / volume for volume in self.volumes)):
            directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._index = sqlite3.connect(self.index_path, check_same_thread=False, timeout=30)
        self._index.execute("PRAGMA journal_mode = WAL")
        self._index.execute("PRAGMA synchronous = NORMAL")
        # PostgreSQL, on which the real server's index is, compares upper and lower case apart.
        self._index.execute("PRAGMA case_sensitive_like = ON")
        with self._transaction() as connection:
            connection.execute(_SCHEMA)
            connection.execute(_DISKS)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._index:
            yield self._index

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._index.close()

    def staging_path(self) -> Path:
        """Return a new name in the staging area."""
        return self._staging / uuid.uuid4().hex

    def path(self, stored: StoredFile) -> Path:
        """Return where a stored file is."""
        return self.root / stored.disk_id / stored.file_name

    def register(self, host_id: str, port: int) -> None:
        """Tells the cluster which node has these volumes, and where it is reached."""
        with self._transaction() as index:
            for volume in self.volumes:
                index.execute(_REGISTER, (volume, host_id, port, str(self.root / volume)))

    def disks(self) -> dict[str, Disk]:
        """Return the disks of all nodes by their IDs."""
        with self._transaction() as index:
            return {row[0]: Disk(*row) for row in index.execute(_DISK_ROWS)}

    def copies(self, file_id: str, version: int | None = None, disk_id: str = "") -> list[StoredFile]:
        """Return all copies of one version of a file, on the disks of any node, in the disks' order.

        Args:
            file_id: the file's ID.
            version: its version; the latest if none is given.
            disk_id: only the copy on this disk; empty for all.
        """
        wanted = {"file_id": file_id, "version": version, "disk_id": disk_id}
        with self._transaction() as index:
            return [StoredFile(*row) for row in index.execute(_COPIES, wanted)]

    def find(self, file_id: str, version: int | None = None) -> StoredFile | None:
        """Return one version of a file from the index, the latest if none is given, or None."""
        with self._transaction() as index:
            rows = index.execute(*((_LATEST, (file_id,)) if version is None else (_VERSION, (file_id, version))))
            row = rows.fetchone()
        return None if row is None else StoredFile(*row)

    def like(self, pattern: str) -> list[StoredFile]:
        """Return all versions on all disks of the files whose ID matches an SQL pattern (``%`` and ``_``)."""
        with self._transaction() as index:
            return [StoredFile(*row) for row in index.execute(_LIKE, (pattern,))]

    def latest_version(self, file_id: str) -> int:
        """Return the highest version of a file, 0 if there is none."""
        stored = self.find(file_id)
        return 0 if stored is None else stored.file_version

    def totals(self, volume: str) -> tuple[int, int]:
        """Return how many files a volume holds, and how many bytes they have."""
        with self._transaction() as index:
            count, size = index.execute(_VOLUME_TOTALS, (volume,)).fetchone()
        return int(count), int(size)

    def emptiest_volume(self) -> str:
        """Return the volume with the fewest files: what QARCHIVE writes to."""
        return min(self.volumes, key=self.totals)

    def commit(self, received: Received, *, file_id: str, version: int, volume: str) -> StoredFile:
        """Put a received file into its place and then into the index.

        Args:
            received: the file in the staging area; it is moved.
            file_id: its ID.
            version: its version, chosen by the caller: NGAS chooses before it stores, without a lock.
            volume: the disk it goes to.

        Raises:
            NgasFailure: the ID is longer than the index's column.
        """
        if len(file_id) > LONGEST_FILE_ID:
            received.staged.unlink()
            raise failure(2002, f"value too long for type character varying({LONGEST_FILE_ID})")
        now = timestamp()
        name = f"afiles/{datetime.now(UTC):%Y-%m-%d}/{version}/{_name_on_disk(file_id)}"
        place = self.root / volume / name
        place.parent.mkdir(parents=True, exist_ok=True)
        received.staged.replace(place)
        stored = StoredFile(
            disk_id=volume,
            file_name=name,
            file_id=file_id,
            file_version=version,
            format=received.format,
            file_size=received.file_size,
            uncompressed_file_size=received.file_size,
            compression="NONE",
            ingestion_date=now,
            file_ignore=0,
            checksum=received.checksum,
            checksum_plugin=received.checksum_plugin,
            file_status=FILE_STATUS_GOOD,
            creation_date=now,
            io_time=received.seconds,
            ingestion_rate=received.file_size / max(received.seconds, 1e-6),
            container_id=None,
        )
        with self._transaction() as index:
            index.execute(_INSERT, astuple(stored))
        return stored

    def copy(self, stored: StoredFile, source: Path, volume: str) -> StoredFile:
        """Put a further copy of a version onto a volume, under the name that it has on the other disk.

        Args:
            stored: the copy that is copied.
            source: its bytes.
            volume: the disk that the further one goes to.
        """
        staged = self.staging_path()
        shutil.copyfile(source, staged)
        copied = replace(stored, disk_id=volume, file_status=FILE_STATUS_GOOD, creation_date=timestamp())
        self.path(copied).parent.mkdir(parents=True, exist_ok=True)
        staged.replace(self.path(copied))
        with self._transaction() as index:
            index.execute(_INSERT, astuple(copied))
        return copied

    def set_status(self, stored: StoredFile, status: str) -> None:
        """Write down whether a check found a file good or bad."""
        with self._transaction() as index:
            index.execute(_SET_STATUS, (status, stored.file_id, stored.file_version, stored.disk_id))


def _name_on_disk(file_id: str) -> str:
    """Return a file name that stays in its directory, whatever the ID is."""
    name = quote(file_id, safe="")
    if name.startswith(".") or len(name) > _LONGEST_NAME_ON_DISK:
        return hashlib.sha256(file_id.encode()).hexdigest()
    return name


def disk_attributes(store: Store, volume: str) -> Mapping[str, object]:
    """Return what DiskStatus says of a disk.

    Args:
        store: the store of the node that is asked.
        volume: the disk's ID; it may be another node's.
    """
    count, size = store.totals(volume)
    disk = store.disks()[volume]
    host_id, slot = disk.host_id, slot_of(store, volume)
    return {
        "Archive": "SRDP-SANDBOX",
        "AvailableMb": shutil.disk_usage(store.root).free // 2**20,
        "BytesStored": size,
        "Completed": 0,
        "DiskId": volume,
        "HostId": host_id,
        "LastHostId": host_id,
        "LogicalName": f"SRDP-SANDBOX-M-{slot:06d}",
        "MountPoint": disk.mount_point,
        "Mounted": 1,
        "NumberOfFiles": count,
        "SlotId": slot,
        "Type": "MAGNETIC DISK",
    }


def slot_of(store: Store, volume: str) -> int:
    """Return the number of the slot that a disk is in, on its own node."""
    disks = store.disks()
    of_node = [disk.disk_id for disk in disks.values() if disk.host_id == disks[volume].host_id]
    return of_node.index(volume) + 1
