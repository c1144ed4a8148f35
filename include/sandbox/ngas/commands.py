"""What each NGAS command does."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from sandbox.ngas.call import BLOCK, Call
from sandbox.ngas.checksums import checksum, same_checksum
from sandbox.ngas.status import NgasFailure, element, failure, message
from sandbox.ngas.store import FILE_STATUS_BAD, FILE_STATUS_GOOD, Received, StoredFile, disk_attributes, slot_of

_MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_DEFAULT_MIME_TYPE = "application/octet-stream"
_RANGE_FORM = "Invalid Range header, must have the form 'bytes=start-' (start offset only)"


def file_id_of(command: str, parameters: Mapping[str, str]) -> str:
    """Return the ID of the file that a request is about, or nothing.

    Args:
        command: the command; what is archived without a ``file_id`` is called as its ``filename`` ends.
        parameters: the request's parameters.
    """
    named = parameters.get("file_id", "")
    if not named and command in ("ARCHIVE", "QARCHIVE"):
        # The server decodes a filename again than it should: %20 in a name becomes a blank.
        return PurePosixPath(unquote(parameters.get("filename", ""))).name
    return named


def archive(call: Call) -> None:
    """ARCHIVE: stores what is sent as a new version on the first volume; with replication on the next one, too."""
    _archive(call, volume=call.node.store.volumes[0])


def quick_archive(call: Call) -> None:
    """QARCHIVE: the same, on whichever volume suits."""
    _archive(call, volume=call.node.store.emptiest_volume())


def _archive(call: Call, *, volume: str) -> None:
    length = _content_length(call)
    _require_online(call, "Archive Request")
    filename, mime_type = call.parameters.get("filename", ""), call.parameters.get("mime_type", "")
    if not filename:
        raise failure(4013)
    mime_type = mime_type or _DEFAULT_MIME_TYPE
    if not _MIME_TYPE.fullmatch(mime_type) or _has_no_stream(call, mime_type):
        raise failure(4047, mime_type, filename)
    if "volume_full" in call.faults:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if length > _largest_file(call):
        raise failure(3014, mime_type)
    name, compute = checksum(call.parameters.get("crc_variant", "crc32"))
    store, started = call.node.store, time.monotonic()
    staged = store.staging_path()
    try:
        with staged.open("wb") as file:
            value = call.receive(file, length, compute)
        _compare_checksum(call, filename, value)
        if refused := call.node.configuration.refused_mime_types.get(mime_type):
            raise NgasFailure(refused)  # the plug-in sees the file when all of it is there
        # The names that the real server gives its checksums: ARCHIVE keeps that of the plug-in of old.
        plugin = "ngamsGenCrc32" if (call.request.command, name) == ("ARCHIVE", "crc32") else name
        received = Received(staged, length, str(value), plugin, mime_type, time.monotonic() - started)
        version = _new_version(call)
        if "slow_commit" in call.faults:
            call.node.wait(call.faults["slow_commit"].seconds)
        stored = store.commit(received, file_id=call.request.file_id, version=version, volume=volume)
    finally:
        staged.unlink(missing_ok=True)
    if call.node.configuration.replication:
        others = [other for other in store.volumes if other != volume]
        store.copy(stored, store.path(stored), others[0])
    call.request.version = version
    text = f"Successfully handled Archive Push Request for data file with URI: {filename}"
    call.reply_status(text, elements=[_disk_status(call, stored)])


def _has_no_stream(call: Call, mime_type: str) -> bool:
    refused = call.node.configuration.refused_mime_types
    return mime_type in refused and refused[mime_type] is None


def _content_length(call: Call) -> int:
    """Return how many bytes an upload has; NGAS wants to know before."""
    text = call.header("Content-Length")
    if text is None or call.header("Transfer-Encoding") is not None:
        raise NgasFailure("Content-Length is required", http_status=411)
    try:
        length = int(text)
    except ValueError as error:
        raise NgasFailure(str(error)) from error
    if length <= 0:
        raise NgasFailure("Content-Length is 0", http_status=411)
    return length


def _largest_file(call: Call) -> int:
    free = shutil.disk_usage(call.node.store.root).free
    return min(free, call.faults["too_large"].bytes) if "too_large" in call.faults else free


def _compare_checksum(call: Call, filename: str, value: int) -> None:
    announced = call.header("NGAS-File-CRC")
    try:
        same = announced is None or same_checksum(announced, str(value))
    except ValueError as error:
        raise NgasFailure(str(error)) from error
    if not same:
        raise NgasFailure(f"Checksum error for file {filename}, local crc = {value}, but remote crc = {announced}")


def _new_version(call: Call) -> int:
    """Return the version to store: the next one; with versioning=0 the latest, which is overwritten."""
    latest = call.node.store.latest_version(call.request.file_id)
    return max(latest, 1) if call.parameters.get("versioning") == "0" else latest + 1


def retrieve(call: Call) -> None:
    """RETRIEVE: sends a version of a file, the latest if none is named."""
    _require_online(call, "Command RETRIEVE")
    call.request.range_start = _range_start(call)
    if not call.request.file_id:
        raise failure(4018)
    copies = _copies(call, call.version())
    if _redirected(call):
        return
    here = [stored for stored in copies if stored.disk_id in call.node.store.volumes]
    if not here:
        _send_on(call, copies)
        return
    # The last one: CHECKFILE looks at the first. The disk is not looked at before.
    stored = here[-1]
    _damage(call, call.node.store.path(stored))
    call.send_file(call.node.store.path(stored), stored.format)


def _copies(call: Call, version: int | None) -> list[StoredFile]:
    """Return the copies, on whichever node, of what a request is about; at least one."""
    file_id = call.request.file_id
    copies = call.node.store.copies(file_id, version, call.disk_id)
    if not copies:
        reference = file_id if version is None else f"{file_id}/Version: {version}"
        raise failure(4019, f"{reference}/Disk ID: {call.disk_id}" if call.disk_id else reference)
    return copies


def _send_on(call: Call, copies: Sequence[StoredFile]) -> None:
    """Has another node answer; one that is away has no file, as far as this one says."""
    disks = call.node.store.disks()
    ports = [disks[stored.disk_id].port for stored in copies if stored.disk_id not in call.node.store.volumes]
    port = next((port for port in dict.fromkeys(ports) if call.reaches(port)), None)
    if port is None:
        raise failure(4019, call.request.file_id)
    if call.node.configuration.proxy_mode:
        call.relay(port)
    else:
        call.reply_headers(303, {"Location": f"http://{call.node.host}:{port}{call.target}"})


def _range_start(call: Call) -> int:
    text = call.header("Range")
    if not text:
        return 0
    try:
        start = int(text[6:-1])
    except ValueError as error:
        raise NgasFailure(_RANGE_FORM) from error
    if start < 0:
        raise NgasFailure(_RANGE_FORM)
    return start


def status(call: Call) -> None:
    """STATUS: the server's health or, with a file_id, what the index says of a file; nothing looks at the disk."""
    text = "Successfully handled command STATUS"
    if not call.request.file_id:
        call.reply_status(text)
    else:
        stored = _copies(call, call.version())[0]
        if stored.disk_id in call.node.store.volumes:
            _damage(call, call.node.store.path(stored))
        call.reply_status(text, elements=[_disk_status(call, stored)])


def check_file(call: Call) -> None:
    """CHECKFILE: reads a version of a file from the disk, version 1 if none is named, and compares its checksum."""
    if not call.request.file_id:
        raise NgasFailure("Must specify a File ID for the CHECKFILE command.")
    copies = _copies(call, 1 if "file_version" not in call.parameters else call.version())
    if _redirected(call):
        return
    store = call.node.store
    here = [stored for stored in copies if stored.disk_id in store.volumes]
    if here:
        _damage(call, store.path(here[0]))
    # Of the copies on this node the first whose file is there, then those on other nodes.
    found = next((stored for stored in here if store.path(stored).exists()), None)
    if found is None:
        _send_on(call, copies)
        return
    stored, path = found, store.path(found)
    problem = _problem(stored, path)
    store.set_status(stored, FILE_STATUS_BAD if problem else FILE_STATUS_GOOD)
    where = (stored.file_id, stored.file_version, stored.disk_id, slot_of(store, stored.disk_id))
    if problem:
        # The misspelling is the server's own.
        call.reply_status(message(4057, *where, call.node.host_id, f". Descrepancy: {problem}"))
    else:
        call.reply_status(message(4056, *where, call.node.host_id))


def _problem(stored: StoredFile, path: Path) -> str:
    size = path.stat().st_size
    if size != stored.file_size:
        return f"ERROR: File has wrong size. Expected: {stored.file_size}/Actual: {size}."
    _, compute = checksum(stored.checksum_plugin)
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = compute(block, value)
    return "" if same_checksum(str(value), stored.checksum) else "ERROR: Inconsistent checksum found"


def query(call: Call) -> None:
    """QUERY: rows of the index, as JSON or as a Python list."""
    name = call.parameters.get("query", "").lower()
    if name not in ("files_like", "files_list", "disks_list"):
        raise NgasFailure("Invalid query specified. Valid queries are: files_like, files_list, disks_list")
    rows = _disk_rows(call) if name == "disks_list" else _file_rows(call, name)
    if call.parameters.get("format") == "json":
        call.reply(200, "application/json", json.dumps(rows).encode())
    else:
        call.reply(200, "application/python-list", str([tuple(row.values()) for row in rows]).encode())


def _file_rows(call: Call, name: str) -> list[dict[str, object]]:
    pattern = call.parameters.get("like", "%") if name == "files_like" else "%"
    numeric = call.node.configuration.numeric_sizes
    return [stored.as_row(numeric=numeric) for stored in call.node.store.like(pattern)]


def _disk_rows(call: Call) -> list[dict[str, object]]:
    """Return the columns of ``ngas_disks`` that a client can make something of."""
    free = 0 if "volume_full" in call.faults else shutil.disk_usage(call.node.store.root).free // 2**20
    return [
        {
            "disk_id": disk.disk_id,
            "archive": "SRDP-SANDBOX",
            "host_id": disk.host_id,
            "slot_id": str(slot_of(call.node.store, disk.disk_id)),
            "mounted": 1,
            "mount_point": disk.mount_point,
            "available_mb": free,
            "completed": 0,
        }
        for disk in call.node.store.disks().values()
    ]


def clone(call: Call) -> None:
    """CLONE: makes a further copy of a version on another disk of this node.

    What goes wrong with a single file stands in the server's log alone: the reply is a success all the same.
    """
    _require_online(call, "Command CLONE")
    store = call.node.store
    copies = store.copies(call.request.file_id, call.version(), call.disk_id)
    if not copies:
        raise NgasFailure("NGAMS_ER_CMD_EXEC:3026:ERROR: Problem executing command: CLONE. No files for cloning found")
    taken = {stored.disk_id for stored in store.copies(call.request.file_id, copies[0].file_version)}
    targets = [volume for volume in store.volumes if volume not in taken]
    target = call.parameters.get("target_disk_id", "") or next(iter(targets), "")
    if target in targets:
        _clone(call, copies[0], target)
    call.reply_status("Successfully handled command CLONE")


def _clone(call: Call, stored: StoredFile, target: str) -> None:
    store = call.node.store
    # All nodes are on this machine, so that the other one's disk can be read; it takes its node to be there.
    disk = store.disks()[stored.disk_id]
    source = Path(disk.mount_point) / stored.file_name
    there = stored.disk_id in store.volumes or call.reaches(disk.port)
    if there and source.exists() and not _problem(stored, source):
        store.copy(stored, source, target)


#: The commands that the server knows.
COMMANDS: Mapping[str, Callable[[Call], None]] = {
    "ARCHIVE": archive,
    "QARCHIVE": quick_archive,
    "RETRIEVE": retrieve,
    "STATUS": status,
    "CHECKFILE": check_file,
    "QUERY": query,
    "CLONE": clone,
}


def _require_online(call: Call, what: str) -> None:
    if call.offline:
        raise failure(4015, what, "OFFLINE", "IDLE", "ONLINE", "IDLE, BUSY")


def _damage(call: Call, path: Path) -> None:
    """Do to a stored file what faults say has happened to it."""
    faults = call.faults
    if "delete_stored" in faults:
        path.unlink(missing_ok=True)
    if "truncate_stored" in faults:
        with path.open("r+b") as file:
            file.truncate(faults["truncate_stored"].bytes)
    if "corrupt_stored" in faults:
        with path.open("r+b") as file:
            file.seek(faults["corrupt_stored"].bytes)
            byte = file.read(1)
            file.seek(faults["corrupt_stored"].bytes)
            file.write(bytes(value ^ 0xFF for value in byte))


def _redirected(call: Call) -> bool:
    if "redirect" not in call.faults:
        return False
    call.reply_headers(303, {"Location": call.faults["redirect"].url + call.target})
    return True


def _disk_status(call: Call, stored: StoredFile) -> str:
    attributes: dict[str, Any] = {
        "FileName": stored.file_name,
        "FileId": stored.file_id,
        "FileVersion": stored.file_version,
        "Format": stored.format,
        "FileSize": stored.file_size,
        "UncompressedFileSize": stored.uncompressed_file_size,
        "Compression": stored.compression,
        "IngestionDate": stored.ingestion_date,
        "Ignore": stored.file_ignore,
        "Checksum": stored.checksum,
        "ChecksumPlugIn": stored.checksum_plugin,
        "FileStatus": stored.file_status,
        "CreationDate": stored.creation_date,
        "TotalIoTime": stored.io_time,
        "IngestionRate": stored.ingestion_rate,
    }
    disk = dict(disk_attributes(call.node.store, stored.disk_id))
    return element("DiskStatus", disk, [element("FileStatus", attributes)])
