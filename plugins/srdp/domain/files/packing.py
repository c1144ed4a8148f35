"""Tar files whose bytes depend only on the names and bytes of their members.

Sorted, with fixed times, owners and modes, without a word about this host: packed again, after a kill or on another
machine, a tar has the same checksum, so that what NGAS holds can be recognised. Size and CRC-32 are taken from the
bytes on their way into the file: everything is read once. The file appears whole or not at all.

What is packed is where others can write (:mod:`srdp.domain.files.shared_files`): what was found there is what is
read, or nothing is packed.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.files.leftovers import is_left_over
from srdp.domain.files.shared_files import PRODUCT, FileIdentity, open_shared
from srdp.domain.files.shared_folders import link_target, look_at, walk_shared
from srdp.domain.files.storage import DiskFull, local_files
from srdp.domain.files.trusted_root import OpenRoot
from srdp.domain.files.whole_file import is_unfinished, whole_file
from srdp.domain.files.write_back import WriteBack

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_COPY_BYTES = 1 << 20
_GIGABYTE = 1e9
# A block for the header, and what a long name adds: a PAX header, its padded records.
_HEADER_BYTES = 3 * tarfile.BLOCKSIZE
# 1 January 1980, as reproducible archives have it: some programs warn of, or cannot store, earlier times.
_MODIFIED = 315_532_800
_FILE_MODE, _DIRECTORY_MODE, _LINK_MODE = 0o644, 0o755, 0o777
# Figures make up most of a weblog and do not get smaller; beyond this level only the time grows.
_COMPRESSION_LEVEL = 6
_LONGEST_NAME_BYTES = 4096


@dataclass(frozen=True)
class Member:
    """One thing to pack.

    Attributes:
        name: its name in the tar: relative, with slashes.
        source: where it is: a regular file, a directory (without what is in it), or a symbolic link to a member.
        root: the folder that is trusted, below which it is.
        found: what was found there; None if it was not looked at yet.
    """

    name: str
    source: Path
    root: Path
    found: os.stat_result | None = field(default=None, compare=False)


@dataclass(frozen=True)
class PackedFile:
    """A tar that is complete in its place.

    Attributes:
        path: where.
        size_bytes: how large it is.
        crc32: zlib's CRC-32 of all its bytes, unsigned.
    """

    path: Path
    size_bytes: int
    crc32: int


@dataclass(frozen=True)
class _Entry:
    """A member as it was found before anything was read."""

    source: Path
    root: Path
    kind: int
    identity: FileIdentity
    link: str

    @property
    def size(self) -> int:
        """How many bytes of it are packed."""
        return self.identity.size if self.kind == stat.S_IFREG else 0


def tree(root: Path, folder: Path, prefix: str = "") -> Iterator[Member]:
    """Yield everything below a directory, sorted; symbolic links as such, not followed.

    What :func:`~srdp.domain.files.whole_file.whole_file` left when it was killed is not yielded, nor what editors and
    file servers leave (:mod:`srdp.domain.files.leftovers`).

    Args:
        root: the folder that is trusted, for example a run's directory.
        folder: the directory: the root itself, or one below it.
        prefix: what the names in the tar begin with; if it is given, the directory itself comes first.

    Raises:
        UnsafeFile: a folder on the way to the directory is a symbolic link.
        Refused: the directory is one.
        LocalFilesError: a directory cannot be read.
    """
    with local_files(folder):
        top = look_at(root, folder)
        if top is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if stat.S_ISLNK(top.st_mode):
        raise Refused(f"{folder} is a symbolic link: what it leads to is not packed, put the directory itself there.")
    if prefix:
        yield Member(prefix, folder, root, top)
    way = len(folder.parts)
    for path, found in sorted(_packed(root, folder), key=lambda each: each[0].parts):
        yield Member("/".join((prefix, *path.parts[way:]) if prefix else path.parts[way:]), path, root, found)


def _packed(root: Path, folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    unfinished: set[Path] = set()
    for path, found in walk_shared(root, folder):
        is_directory = stat.S_ISDIR(found.st_mode)
        if path.parent in unfinished or is_unfinished(path.name):
            if is_directory:
                unfinished.add(path)
        elif is_directory or not is_left_over(path.name):
            yield path, found


def check_packable(members: Iterable[Member], root: Path) -> None:
    """Check that members can be packed, by their names, kinds and links; read no file.

    Args:
        members: what is to be packed, in any order.
        root: where they are, for the sentence of what the system refuses.

    Raises:
        Refused: see :func:`pack`.
        LocalFilesError: the system refused.
    """
    with local_files(root):
        _entries(members)


def pack(
    members: Iterable[Member], root: Path, target: Path, *, compress: bool = False, spare_bytes: int = 0
) -> PackedFile:
    """Write a tar; repeated, it writes the same bytes.

    Args:
        members: what to pack, in any order.
        root: the folder that is trusted, below which the tar is to be.
        target: the tar; a former one is replaced. Its folder must exist.
        compress: whether to compress it with gzip (without name and time in its header).
        spare_bytes: space that must stay free where the target is.

    Returns:
        The tar with its size and checksum.

    Raises:
        Refused: two members have one name, a name leaves the tar, a link leads to what is not packed, or something is
            neither file, directory nor link.
        UnsafeFile: a file, or a folder on the way to one, was replaced by a symbolic link meanwhile.
        LocalFilesError: a file changed while it was read, there is not enough space, or the system refused.
    """
    with local_files(target):
        entries = _entries(members)
        _check_space(entries, target.parent, spare_bytes)
        with whole_file(root, target) as descriptor:
            raw = _Counted(descriptor)
            with ExitStack() as streams:
                stream: Any = streams.enter_context(io.BufferedWriter(raw, _COPY_BYTES))
                if compress:
                    stream = streams.enter_context(
                        gzip.GzipFile("", "wb", compresslevel=_COMPRESSION_LEVEL, fileobj=stream, mtime=0)
                    )
                _write(entries, stream)
        return PackedFile(target, raw.size, raw.crc32)


class _Counted(io.RawIOBase):
    """Writes to a descriptor, and takes size and checksum of what passes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write_back = WriteBack(descriptor)
        self.size = 0
        self.crc32 = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, block: ReadableBuffer, /) -> int:
        written = os.write(self._descriptor, block)
        self.crc32 = zlib.crc32(memoryview(block)[:written], self.crc32)
        self._write_back.wrote(written)
        self.size += written
        return written


def _entries(members: Iterable[Member]) -> dict[str, _Entry]:
    """Return the members by name, in the order in which they are packed; each name and link is checked."""
    entries: dict[str, _Entry] = {}
    for member in sorted(members, key=lambda member: (member.name.split("/"), str(member.source))):
        name = _checked_name(member)
        if name in entries:
            raise Refused(
                f"{entries[name].source} and {member.source} would both be {quoted(name)} in the tar: rename one of "
                "them."
            )
        entries[name] = _entry(member)
    folders = {"."}
    for name in entries:
        while (name := name.rpartition("/")[0]) and name not in folders:
            folders.add(name)
    for name, entry in entries.items():
        if name in folders and entry.kind != stat.S_IFDIR:
            raise Refused(
                f"{quoted(entry.source, 300)} is not a directory, but other files would be in {quoted(name)} in the "
                "tar: rename it."
            )
        _check_link(name, entries, folders)
    return entries


def _checked_name(member: Member) -> str:
    name = PurePosixPath(member.name)
    if (
        str(name) != member.name
        or name.is_absolute()
        or not name.parts
        or ".." in name.parts
        or not member.name.isprintable()
        or len(os.fsencode(member.name)) > _LONGEST_NAME_BYTES
    ):
        raise Refused(
            f"{quoted(member.name)} cannot be a name in a tar: a name is relative, without .. and of printable "
            "characters; rename the file."
        )
    return member.name


def _entry(member: Member) -> _Entry:
    source, root = member.source, member.root
    found = member.found or look_at(root, source)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
    kind = stat.S_IFMT(found.st_mode)
    if kind not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise Refused(f"{quoted(source, 300)} is neither a file nor a directory, and cannot be packed: remove it.")
    link = link_target(root, source) if kind == stat.S_IFLNK else ""
    return _Entry(source, root, kind, FileIdentity.of(found), link)


def _check_link(name: str, entries: Mapping[str, _Entry], folders: Set[str]) -> None:
    """Check that a link leads, through directories and other links alone, to another member of the tar.

    So no chain of links can leave the place where the tar is unpacked, and none runs in a circle.
    """
    entry = entries[name]
    passed: set[str] = set()
    end = name
    while end in entries and entries[end].kind == stat.S_IFLNK and end not in passed:
        passed.add(end)
        end = _target(end, entries[end].link, folders)
    if end not in entries or end in passed:
        raise Refused(
            f"{quoted(entry.source, 300)} is a symbolic link to {quoted(entry.link)}, which is not packed with it: "
            "remove the link, or put the file itself there."
        )


def _target(name: str, link: str, folders: Set[str]) -> str:
    """Return the name that a link leads to; empty if the way there is not through directories of the tar."""
    place: tuple[str, ...] | None = PurePosixPath(name).parent.parts
    *way, last = PurePosixPath(link).parts or (".",)
    for step in way:
        place = _after(place, step)
        if place is None or (place and "/".join(place) not in folders):
            return ""
    return "/".join(_after(place, last) or ())


def _after(place: tuple[str, ...] | None, step: str) -> tuple[str, ...] | None:
    """Return where one step of a link leads to; ``None`` above the tar's top."""
    if step == "..":
        return place[:-1] if place else None
    return None if place is None else (*place, step)


def _check_space(entries: Mapping[str, _Entry], folder: Path, spare_bytes: int) -> None:
    needed = tarfile.RECORDSIZE + sum(
        _HEADER_BYTES + -(-entry.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE for entry in entries.values()
    )
    free = shutil.disk_usage(folder).free
    if needed + spare_bytes > free:
        raise DiskFull(
            f"{folder} has {free / _GIGABYTE:.3f} GB free, but {needed / _GIGABYTE:.3f} GB are to be packed there and "
            f"{spare_bytes / _GIGABYTE:.3f} GB must stay free: free space, the step continues by itself."
        )


def _write(entries: Mapping[str, _Entry], stream: BinaryIO) -> None:
    # PAX is POSIX's own format: no limit on names and sizes, and without special names it is plain ustar.
    with (
        ExitStack() as opened,
        tarfile.TarFile(
            fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", copybufsize=_COPY_BYTES
        ) as tar,
    ):
        roots = {root: opened.enter_context(OpenRoot(root)) for root in {entry.root for entry in entries.values()}}
        for name, entry in entries.items():
            header = _header(name, entry)
            if entry.kind == stat.S_IFREG:
                with open_shared(roots[entry.root], entry.source, PRODUCT, entry.identity) as file:
                    try:
                        tar.addfile(header, cast("BinaryIO", file.raw_stream()))
                    finally:
                        file.check_unchanged()
            else:
                tar.addfile(header)


def _header(name: str, entry: _Entry) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.mtime = _MODIFIED
    header.mode = _FILE_MODE
    header.size = entry.size
    if entry.kind == stat.S_IFDIR:
        header.type, header.mode = tarfile.DIRTYPE, _DIRECTORY_MODE
    elif entry.kind == stat.S_IFLNK:
        header.type, header.mode, header.linkname = tarfile.SYMTYPE, _LINK_MODE, entry.link
    return header
