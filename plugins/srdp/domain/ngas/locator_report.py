"""The locator report: how the archive says which files something has, and where to fetch them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypeVar, cast

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.json_stream import in_blocks, read_object
from srdp.domain.common.outside_numbers import whole_number
from srdp.domain.ngas.checksums import ChecksumType, checksum_type, unsigned_checksum
from srdp.domain.ngas.client import ngas_server
from srdp.domain.runs.identifiers import Locator

#: The directory inside ``rawdata/`` that holds files on their way; no file of a report may be there.
UNFINISHED = ".fetching"

_LONGEST_FILE_ID = 64  # NGAS keeps it in a varchar(64).
_LONGEST_NAME_BYTES = 255
# A text of so many letters is short enough in bytes, whatever they are.
_SHORT_NAME: Final = _LONGEST_NAME_BYTES // 4
_LONGEST_PATH_BYTES = 2048
_LARGEST_FILE_BYTES = 1 << 50
_LARGEST_REPORT_BYTES = 1 << 62


_T = TypeVar("_T")


def raw_data_path(value: object) -> PurePosixPath:
    """Return a file's path below ``rawdata/``, spelled in the only way there is for it.

    Raises:
        InvalidInput: it is not relative, does not stay below, is longer than a file system takes, or is where files
            on their way are kept.
    """
    return PurePosixPath(_path(value))


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidInput(f"{quoted(value)} is not a path of printable characters")
    parts = value.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise InvalidInput(f"{quoted(value)} is not a plain relative path that stays inside the run's rawdata")
    if parts[0] == UNFINISHED:
        raise InvalidInput(f"{quoted(value)} is where files on their way are kept")
    if len(value) > _SHORT_NAME:
        _check_length(value, parts)
    return value


def _check_length(path: str, parts: Iterable[str]) -> None:
    if len(path.encode()) > _LONGEST_PATH_BYTES:
        raise InvalidInput(f"{quoted(path)} is a path of more than {_LONGEST_PATH_BYTES} bytes")
    if any(len(part.encode()) > _LONGEST_NAME_BYTES for part in parts):
        raise InvalidInput(
            f"{quoted(path)} has a name of more than {_LONGEST_NAME_BYTES} bytes in it, which no file system takes"
        )


def _file_id(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_FILE_ID and value.isprintable():
        return value
    raise InvalidInput(f"{quoted(value)} is not an NGAS file ID of 1 to {_LONGEST_FILE_ID} printable characters")


def _version(value: object) -> int:
    return whole_number(value, lowest=1, highest=2**31 - 1, what="version")


def _size(value: object) -> int:
    return whole_number(value, lowest=0, highest=_LARGEST_FILE_BYTES, what="size in bytes")


def _aggregate_size(value: object) -> int:
    return whole_number(value, lowest=0, highest=_LARGEST_REPORT_BYTES, what="size of all files in bytes")


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """One file of an execution block, an ASDM or a calibration.

    A report may have hundreds of thousands: each holds texts that others share, and no paths.

    Attributes:
        ngas_file_id: what to ask NGAS for.
        path: the path below ``rawdata/``.
        folder: the beginning of it that the report calls its subdirectory, named as the execution block or ASDM; empty
            for ``rawdata/`` itself.
        version: the version of the file in NGAS, from 1.
        size: in bytes.
        checksum: unsigned, whatever sign the report has.
        checksum_type: the algorithm, whatever the report called it.
        server: ``host:port`` of the NGAS server that has it.
    """

    ngas_file_id: str
    path: str
    folder: str
    version: int
    size: int
    checksum: int
    checksum_type: ChecksumType
    server: str

    @property
    def destination(self) -> PurePosixPath:
        """The path below ``rawdata/``."""
        return PurePosixPath(self.path)

    @property
    def subdirectory(self) -> PurePosixPath:
        """The directory below ``rawdata/`` that it belongs into."""
        return PurePosixPath(self.folder)

    @property
    def relative_path(self) -> PurePosixPath:
        """The path below that directory."""
        return PurePosixPath(self.path[len(self.folder) + 1 :] if self.folder else self.path)


@dataclass(frozen=True)
class LocatorReport:
    """All files of an execution block, an ASDM, a calibration, or of several of them.

    Attributes:
        files: at least one, no two with the same destination.
        aggregate_size: the sum of their sizes, in bytes.

    Raises:
        InvalidInput: they cannot be fetched together; a part of a sentence.
    """

    files: tuple[LocatedFile, ...]
    aggregate_size: int

    def __post_init__(self) -> None:
        if not self.files:
            raise InvalidInput("it names no file")
        begins_with: list[str] = []
        for path in sorted(file.path for file in self.files):
            while begins_with and not path.startswith(begins_with[-1]):
                begins_with.pop()
            for other in begins_with:
                if path == other:
                    raise InvalidInput(f"two files have the destination {quoted(path)}")
                if path[len(other)] == "/":
                    raise InvalidInput(f"{quoted(other)} is both a file and the directory of another")
            begins_with.append(path)
        total = sum(file.size for file in self.files)
        if total != self.aggregate_size:
            raise InvalidInput(f"the sizes add up to {total} bytes, but aggregate_size is {self.aggregate_size}")

    @property
    def servers(self) -> frozenset[str]:
        """The NGAS servers that have the files, each ``host:port``."""
        return frozenset(file.server for file in self.files)

    def named_for(self, server: str) -> str:
        """Return what the report names a server for, for a sentence: ``for 'a-file'`` and how many others.

        Args:
            server: one of :attr:`servers`.
        """
        first, *others = [file for file in self.files if file.server == server]
        more = f" and {len(others)} more" if others else ""
        return f"(for {quoted(first.destination)}{more})"


def parse_locator_report(content: bytes | Iterable[bytes], locator: str) -> LocatorReport:
    """Return the report, which came from outside: nothing in it is used before it passed here.

    Args:
        content: the JSON document, or its blocks as they come.
        locator: what it is about, for the sentence of an error.

    Raises:
        InvalidInput: the document is not a locator report, or a value in it is not usable; one sentence names the
            first such value.
    """
    files = _Files()
    try:
        members = read_object(in_blocks(content) if isinstance(content, bytes) else content, "files", files.take)
        if "files" in members:
            raise InvalidInput("files: it is not an array")
        total = files.value(members, "aggregate_size", _aggregate_size)
        if files.problems:
            more = files.problems - 1
            raise InvalidInput(f"{files.first}; and {more} more problems" if more else files.first)
        return LocatorReport(tuple(files.usable), total)
    except InvalidInput as error:
        raise InvalidInput(
            f"The locator report of {quoted(locator)} is not usable: {error}. Tell the archive's operators."
        ) from None


class _Files:
    """The files of a report that is being read.

    Attributes:
        usable: the files, as long as there is no problem.
        problems: how many values are not usable.
        first: the first of them, as a part of a sentence.
    """

    def __init__(self) -> None:
        self.usable: list[LocatedFile] = []
        self.problems = 0
        self.first = ""
        self._place: int | None = None
        self._taken = 0
        self._folders: dict[str, str] = {}
        self._servers: dict[str, str] = {}

    def take(self, record: object) -> None:
        """Take the next file."""
        self._place, self._taken = self._taken, self._taken + 1
        members = record if isinstance(record, dict) else {}
        folder = self.value(members, "subdirectory", self._folder) if members.get("subdirectory") is not None else ""
        file = LocatedFile(
            self.value(members, "ngas_file_id", _file_id),
            self.value(members, "relative_path", lambda value: _below(folder, value)),
            folder,
            self.value(members, "version", _version),
            self.value(members, "size", _size),
            self.value(members, "checksum", unsigned_checksum),
            self.value(members, "checksum_type", checksum_type),
            self.value(members, "server", self._server),
        )
        self._place = None
        if not self.problems:
            self.usable.append(file)

    def value(self, members: Mapping[str, object], name: str, parser: Callable[[object], _T]) -> _T:
        """Return a value that passed its parser; of one that does not the problem is kept."""
        try:
            return parser(members[name])
        except KeyError:
            self._problem(f"{name}: it is missing")
        except InvalidInput as error:
            self._problem(f"{name}: {error}")
        return cast("_T", None)  # of what has a problem nothing is used

    def _problem(self, text: str) -> None:
        self.first = self.first or (text if self._place is None else f"files.{self._place}.{text}")
        self.problems += 1

    def _folder(self, value: object) -> str:
        return _shared(self._folders, value, _path)

    def _server(self, value: object) -> str:
        return _shared(self._servers, value.get("server") if isinstance(value, dict) else None, ngas_server)


def _shared(known: dict[str, str], value: object, parser: Callable[[object], str]) -> str:
    """Return a text that many files have, the same one for all of them."""
    if not isinstance(value, str):
        return parser(value)
    if value not in known:
        known[value] = parser(value)
    return known[value]


def _below(folder: str | None, value: object) -> str:
    path = f"{folder}/{_path(value)}" if folder else _path(value)
    if len(path) > _SHORT_NAME:
        _check_length(path, ())
    return path


def combined_report(reports: Mapping[Locator, LocatorReport]) -> LocatorReport:
    """Return one report of all files of several, which are fetched into one ``rawdata/``.

    A place that two of them name with the same content is taken once.

    Args:
        reports: the reports by what they are about; at least one.

    Raises:
        InvalidInput: two reports name one place with other content, or what is a file in one is a directory in another.
    """
    files: dict[str, tuple[Locator, LocatedFile]] = {}
    for about, report in reports.items():
        for file in report.files:
            other, known = files.setdefault(file.path, (about, file))
            if _content(known) != _content(file):
                raise InvalidInput(
                    f"The locator reports of {quoted(other)} and {quoted(about)} both name {quoted(file.path)}, "
                    "with other sizes or checksums: tell the archive's operators; nothing was fetched."
                )
    found = tuple(file for _, file in files.values())
    try:
        return LocatorReport(found, sum(file.size for file in found))
    except InvalidInput as error:
        raise InvalidInput(
            f"The locator reports of {', '.join(map(quoted, reports))} cannot be used together: {error}. Tell the "
            "archive's operators."
        ) from None


def _content(file: LocatedFile) -> tuple[int, ChecksumType, int]:
    return file.size, file.checksum_type, file.checksum
