"""The locator report: how the archive says which files something has, and where to fetch them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, model_validator

from srdp.domain.checksums import ChecksumType, checksum_type, unsigned_checksum
from srdp.domain.errors import InvalidInput, quoted
from srdp.domain.identifiers import Locator
from srdp.domain.ngas import ngas_server
from srdp.domain.outside_numbers import whole_number

#: The directory inside ``rawdata/`` that holds files on their way; no file of a report may lie there.
UNFINISHED = ".fetching"

_LONGEST_FILE_ID = 64  # NGAS keeps it in a varchar(64).
_LONGEST_NAME_BYTES = 255
_LONGEST_PATH_BYTES = 2048
_LARGEST_FILE_BYTES = 1 << 50
_LARGEST_REPORT_BYTES = 1 << 62


_T = TypeVar("_T")


def _door(function: Callable[[object], _T]) -> PlainValidator:
    """A validator that is one of the door functions: pydantic wants a ValueError with the same sentence."""

    def validate(value: object) -> _T:
        try:
            return function(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from None

    return PlainValidator(validate)


def raw_data_path(value: object) -> PurePosixPath:
    """Returns a file's path below ``rawdata/``, spelled in the only way there is for it.

    Raises:
        InvalidInput: it is not relative, does not stay below, or lies where files on their way are kept.
    """
    if not isinstance(value, str) or not value.isprintable() or len(value.encode()) > _LONGEST_PATH_BYTES:
        raise InvalidInput(f"{quoted(value)} is not a path of printable characters")
    parts = value.split("/")
    if any(part in ("", ".", "..") or len(part.encode()) > _LONGEST_NAME_BYTES for part in parts):
        raise InvalidInput(f"{quoted(value)} is not a plain relative path that stays inside the run's rawdata")
    if parts[0] == UNFINISHED:
        raise InvalidInput(f"{quoted(value)} lies where files on their way are kept")
    return PurePosixPath(value)


def _subdirectory(value: object) -> PurePosixPath:
    return PurePosixPath() if value is None else raw_data_path(value)


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


class NgasLocation(BaseModel):
    """Where a file lies.

    Attributes:
        server: ``host:port`` of the NGAS server that has it.
    """

    model_config = ConfigDict(frozen=True)

    server: Annotated[str, _door(ngas_server)]


class LocatedFile(BaseModel):
    """One file of an execution block, an ASDM or a calibration.

    Attributes:
        ngas_file_id: what to ask NGAS for.
        subdirectory: the directory below ``rawdata/``, named as the execution block or ASDM; empty for ``rawdata/``.
        relative_path: the path below that directory.
        version: the version of the file in NGAS, from 1.
        size: in bytes.
        checksum: unsigned, whatever the report said.
        checksum_type: the algorithm, whatever the report called it.
        server: where it lies.
    """

    model_config = ConfigDict(frozen=True)

    ngas_file_id: Annotated[str, _door(_file_id)]
    subdirectory: Annotated[PurePosixPath, _door(_subdirectory)] = PurePosixPath()
    relative_path: Annotated[PurePosixPath, _door(raw_data_path)]
    version: Annotated[int, _door(_version)]
    size: Annotated[int, _door(_size)]
    checksum: Annotated[int, _door(unsigned_checksum)]
    checksum_type: Annotated[ChecksumType, _door(checksum_type)]
    server: NgasLocation

    @property
    def destination(self) -> PurePosixPath:
        """The path below ``rawdata/``."""
        return self.subdirectory / self.relative_path


class LocatorReport(BaseModel):
    """All files of an execution block, an ASDM, a calibration, or of several of them.

    Attributes:
        files: at least one, no two with the same destination.
        aggregate_size: the sum of their sizes, in bytes.
    """

    model_config = ConfigDict(frozen=True)

    files: tuple[LocatedFile, ...]
    aggregate_size: Annotated[int, _door(_aggregate_size)]

    @model_validator(mode="after")
    def _destinations_are_apart(self) -> Self:
        if not self.files:
            raise ValueError("it names no file")
        files: set[PurePosixPath] = set()
        for file in self.files:
            if file.destination in files:
                raise ValueError(f"two files have the destination {quoted(file.destination)}")
            files.add(file.destination)
        for directory in {parent for path in files for parent in path.parents}:
            if directory in files:
                raise ValueError(f"{quoted(directory)} is both a file and the directory of another")
        return self

    @model_validator(mode="after")
    def _sizes_add_up(self) -> Self:
        total = sum(file.size for file in self.files)
        if total != self.aggregate_size:
            raise ValueError(f"the sizes add up to {total} bytes, but aggregate_size is {self.aggregate_size}")
        return self

    @property
    def servers(self) -> frozenset[str]:
        """The NGAS servers that have the files, each ``host:port``."""
        return frozenset(file.server.server for file in self.files)

    def named_for(self, server: str) -> str:
        """Return what the report names a server for, for a sentence: ``for 'a-file'`` and how many others.

        Args:
            server: one of :attr:`servers`.
        """
        first, *others = [file for file in self.files if file.server.server == server]
        more = f" and {len(others)} more" if others else ""
        return f"(for {quoted(first.destination)}{more})"


def parse_locator_report(content: bytes, locator: str) -> LocatorReport:
    """Returns the report, which came from outside: nothing in it is used before it passed here.

    Args:
        content: the JSON document.
        locator: what it is about, for the sentence of an error.

    Raises:
        InvalidInput: the document is not a locator report, or a value in it is not usable; one sentence names the
            first such value.
    """
    try:
        return LocatorReport.model_validate_json(content)
    except ValidationError as error:
        raise InvalidInput(
            f"The locator report of {quoted(locator)} is not usable: {'; '.join(_problems(error))}. Tell the archive's "
            "operators."
        ) from None


def combined_report(reports: Mapping[Locator, LocatorReport]) -> LocatorReport:
    """Returns one report of all files of several, which are fetched into one ``rawdata/``.

    A place that two of them name with the same content is taken once.

    Args:
        reports: the reports by what they are about; at least one.

    Raises:
        InvalidInput: two reports name one place with other content, or what is a file in one is a directory in another.
    """
    files: dict[PurePosixPath, tuple[Locator, LocatedFile]] = {}
    for about, report in reports.items():
        for file in report.files:
            other, known = files.setdefault(file.destination, (about, file))
            if _content(known) != _content(file):
                raise InvalidInput(
                    f"The locator reports of {quoted(other)} and {quoted(about)} both name {quoted(file.destination)}, "
                    "with other sizes or checksums: tell the archive's operators; nothing was fetched."
                )
    found = tuple(file for _, file in files.values())
    try:
        return LocatorReport(files=found, aggregate_size=sum(file.size for file in found))
    except ValidationError as error:
        raise InvalidInput(
            f"The locator reports of {', '.join(map(quoted, reports))} cannot be used together: "
            f"{'; '.join(_problems(error))}. Tell the archive's operators."
        ) from None


def _content(file: LocatedFile) -> tuple[int, ChecksumType, int]:
    return file.size, file.checksum_type, file.checksum


def _problems(error: ValidationError) -> Iterator[str]:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    for problem in problems[:1]:
        place = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        yield f"{place}: {text}" if place else text
    if len(problems) > 1:
        yield f"and {len(problems) - 1} more problems"
