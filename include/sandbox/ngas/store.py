"""Where the server keeps its files: two volumes on disk and an index in SQLite.

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
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sandbox.ngas.status import failure, timestamp

#: The column in which the real server keeps a file's ID is varchar(64).
LONGEST_FILE_ID = 64
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
# A row that is already there gives way, as on the real server: two clients at once leave one row.
_INSERT = "INSERT OR REPLACE INTO ngas_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LATEST = "SELECT * FROM ngas_files WHERE file_id = ? ORDER BY file_version DESC, disk_id LIMIT 1"
_VERSION = "SELECT * FROM ngas_files WHERE file_id = ? AND file_version = ? ORDER BY disk_id LIMIT 1"
_LIKE = "SELECT * FROM ngas_files WHERE file_id LIKE ? ORDER BY file_id, file_version, disk_id"
_SET_STATUS = "UPDATE ngas_files SET file_status = ? WHERE file_id = ? AND file_version = ? AND disk_id = ?"
_VOLUME_TOTALS = "SELECT count(*), coalesce(sum(file_size), 0) FROM ngas_files WHERE disk_id = ?"


@dataclass(frozen=True)
class StoredFile:
    """One version of a file on one disk: a row of ``ngas_files``, its columns in order.

    Attributes:
        file_name: where the file lies, relative to its volume.
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

    def as_row(self) -> dict[str, object]:
        """Returns the row as column name and value, as QUERY gives it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Received:
    """A file that lies complete in the staging area.

    Attributes:
        staged: where it lies.
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


class Store:
    """The volumes and their index.

    Args:
        root: the directory that holds everything; made when it is missing.
    """

    volumes = ("sandbox-volume-1", "sandbox-volume-2")

    def __init__(self, root: Path) -> None:
        self.root = root
        self._staging = root / "staging"
        # What an earlier process was receiving when it was killed was never promised to anybody.
        shutil.rmtree(self._staging, ignore_errors=True)
        for directory in (self._staging, *(root / volume for volume in self.volumes)):
            directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._index = sqlite3.connect(root / "index.sqlite", check_same_thread=False)
        self._index.execute("PRAGMA journal_mode = WAL")
        self._index.execute("PRAGMA synchronous = NORMAL")
        # PostgreSQL, on which the real server's index lies, compares upper and lower case apart.
        self._index.execute("PRAGMA case_sensitive_like = ON")
        with self._transaction() as index:
            index.execute(_SCHEMA)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._index:
            yield self._index

    def close(self) -> None:
        """Closes the index."""
        with self._lock:
            self._index.close()

    def staging_path(self) -> Path:
        """Returns a new name in the staging area."""
        return self._staging / uuid.uuid4().hex

    def path(self, stored: StoredFile) -> Path:
        """Returns where a stored file lies."""
        return self.root / stored.disk_id / stored.file_name

    def find(self, file_id: str, version: int | None = None) -> StoredFile | None:
        """Returns one version of a file from the index, the latest if none is given, or None."""
        with self._transaction() as index:
            rows = index.execute(*((_LATEST, (file_id,)) if version is None else (_VERSION, (file_id, version))))
            row = rows.fetchone()
        return None if row is None else StoredFile(*row)

    def like(self, pattern: str) -> list[StoredFile]:
        """Returns all versions on all disks of the files whose ID matches an SQL pattern (``%`` and ``_``)."""
        with self._transaction() as index:
            return [StoredFile(*row) for row in index.execute(_LIKE, (pattern,))]

    def latest_version(self, file_id: str) -> int:
        """Returns the highest version of a file, 0 if there is none."""
        stored = self.find(file_id)
        return 0 if stored is None else stored.file_version

    def totals(self, volume: str) -> tuple[int, int]:
        """Returns how many files a volume holds, and how many bytes they have."""
        with self._transaction() as index:
            count, size = index.execute(_VOLUME_TOTALS, (volume,)).fetchone()
        return int(count), int(size)

    def emptiest_volume(self) -> str:
        """Returns the volume with the fewest files: what QARCHIVE writes to."""
        return min(self.volumes, key=self.totals)

    def commit(self, received: Received, *, file_id: str, version: int, volume: str) -> StoredFile:
        """Puts a received file into its place and then into the index.

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

    def set_status(self, stored: StoredFile, status: str) -> None:
        """Writes down whether a check found a file good or bad."""
        with self._transaction() as index:
            index.execute(_SET_STATUS, (status, stored.file_id, stored.file_version, stored.disk_id))


def _name_on_disk(file_id: str) -> str:
    """Returns a file name that stays in its directory, whatever the ID is."""
    name = quote(file_id, safe="")
    if name.startswith(".") or len(name) > _LONGEST_NAME_ON_DISK:
        return hashlib.sha256(file_id.encode()).hexdigest()
    return name


def disk_attributes(store: Store, volume: str, host_id: str) -> Mapping[str, object]:
    """Returns what DiskStatus says of a volume.

    Args:
        store: the store that the volume belongs to.
        volume: its disk ID.
        host_id: the server's host ID.
    """
    count, size = store.totals(volume)
    slot = store.volumes.index(volume) + 1
    return {
        "Archive": "SRDP-SANDBOX",
        "AvailableMb": shutil.disk_usage(store.root).free // 2**20,
        "BytesStored": size,
        "Completed": 0,
        "DiskId": volume,
        "HostId": host_id,
        "LastHostId": host_id,
        "LogicalName": f"SRDP-SANDBOX-M-{slot:06d}",
        "MountPoint": store.root / volume,
        "Mounted": 1,
        "NumberOfFiles": count,
        "SlotId": slot,
        "Type": "MAGNETIC DISK",
    }
