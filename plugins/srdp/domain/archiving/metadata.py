"""What is written into the archive's database about the result of a run, and what is read from it, as values.

A result is a calibration, which belongs to an execution block (VLA), or an image set, which belongs to a member
observing unit set (ALMA). Its locator is derived from the pipeline run and the number of its ingest: repeating an
ingest finds what was written before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final

from srdp.domain.archiving.contents import ANCILLARY, SCIENCE
from srdp.domain.archiving.result_locators import IMAGE_SET, ResultLocator, kind_of_result, result_locator
from srdp.domain.common.errors import InvalidInput, Refused, quoted
from srdp.domain.common.outside_numbers import whole_number
from srdp.domain.imaging.fits_header import ImageFacts
from srdp.domain.ngas.checksums import ChecksumType, checksum_type, unsigned_checksum
from srdp.domain.ngas.client import ngas_server
from srdp.domain.qa.verdict import QaVerdict
from srdp.domain.runs.identifiers import Locator, MousUid, PipelineRunId, locator, mous_uid
from srdp.domain.runs.ledger_records import FileOfIngest

#: What files are archived with, as NGAS calls it.
CHECKSUM_TYPE: Final = "crc32"

# The kinds of file whose contents the archive describes.
_IMAGES: Final = frozenset({SCIENCE, ANCILLARY})
_STATUS = re.compile(r"[A-Za-z][A-Za-z ]{0,63}", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_NGAS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
_RELATIVE_PATH = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*", re.ASCII)
_LONGEST_PATH = 500
_LARGEST_VERSION = 2**31 - 1
_LARGEST_SIZE = 2**63 - 1


def calibration_status(value: object) -> str:
    """Return the value as the calibration status of an execution block, for example ``Calibrated``.

    The archive may know statuses that are not known here, so their form is all that is checked.

    Raises:
        InvalidInput: it is not text of letters and blanks.
    """
    if isinstance(value, str) and _STATUS.fullmatch(value) and value == value.strip():
        return value
    raise InvalidInput(
        f"{quoted(value)} is not a calibration status: give letters and blanks, at most 64, for example Calibrated."
    )


@dataclass(frozen=True, kw_only=True)
class ProvedFile:
    """A file of a result, as NGAS has it.

    Attributes:
        kind: what it is among the result's files, for example ``calibration``, ``science`` or ``weblog``.
        ngas_file_id: its id in NGAS.
        version: NGAS's version of it.
        size_bytes: its size.
        crc32: its CRC-32; a signed one becomes the unsigned number of the same 32 bits.
        relative_path: its real name, with ``/`` between folders if it has any.

    Raises:
        InvalidInput: a value has not the form that it must have.
    """

    kind: str
    ngas_file_id: str
    version: int
    size_bytes: int
    crc32: int
    relative_path: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.relative_path).parts
        right = {
            "kind of file": _KIND.fullmatch(self.kind),
            "id in NGAS": _NGAS_ID.fullmatch(self.ngas_file_id),
            "version in NGAS": 1 <= self.version <= _LARGEST_VERSION,
            "size in bytes": 0 < self.size_bytes <= _LARGEST_SIZE,
            "name of a file": _RELATIVE_PATH.fullmatch(self.relative_path)
            and len(self.relative_path) <= _LONGEST_PATH
            and ".." not in parts,
        }
        values = (self.kind, self.ngas_file_id, self.version, self.size_bytes, self.relative_path)
        for (what, is_right), value in zip(right.items(), values, strict=True):
            if not is_right:
                raise InvalidInput(f"{quoted(value)} is not a {what}: it cannot be written into the archive.")
        object.__setattr__(self, "crc32", unsigned_checksum(self.crc32))


def proved_files(files: Iterable[FileOfIngest]) -> tuple[ProvedFile, ...]:
    """Return the files of an ingest as they are written into the archive's database.

    Args:
        files: as the ledger has them; each proved.

    Raises:
        Refused: NGAS was not proved to have one of them.
    """
    return tuple(_proved_file(file) for file in files)


def _proved_file(file: FileOfIngest) -> ProvedFile:
    if file.ngas_version is None or file.proved_at is None:
        raise Refused(
            f"{quoted(file.ngas_file_id)} is not proved to be in NGAS, so it is not written into the archive's "
            "database that it is: let the ingest send it first."
        )
    return ProvedFile(
        kind=file.kind,
        ngas_file_id=file.ngas_file_id,
        version=file.ngas_version,
        size_bytes=file.size_bytes,
        crc32=file.crc32,
        relative_path=file.name,
    )


@dataclass(frozen=True, kw_only=True)
class ImageMetadata:
    """What the archive's database records about an image of an image set.

    Attributes:
        relative_path: the real name of its file.
        product: whether it is a ``science`` or an ``ancillary`` product.
        facts: what its header and its pixels say.
    """

    relative_path: str
    product: str
    facts: ImageFacts


@dataclass(frozen=True, kw_only=True)
class ResultMetadata:
    """What the archive's database records about a calibration or an image set.

    Attributes:
        begins: what the keys of the results of its family begin with.
        pipeline_run_id: the run that made it.
        ingest_number: the number of its ingest.
        belongs_to: the execution block's locator, or the UID of the MOUS.
        files: its files in NGAS; none if nothing is put there.
        ngas_server: the server that has them, ``host:port`` as the archive calls it; None only without files.
        verdict: the SRDP verdict.
        qa_notes: the verdict in words, plain text.
        casa_version: as CASA reports it; None if it is not known.
        pipeline_version: likewise.
        status: the status that the execution block gets; None leaves it as it is.
        images: the images, of an image set.
        asked: what the user asked for, as JSON; of an image set.

    Raises:
        InvalidInput: a value has not the form that it must have, or they contradict each other.
    """

    begins: str
    pipeline_run_id: PipelineRunId
    ingest_number: int
    belongs_to: Locator | MousUid
    files: tuple[ProvedFile, ...]
    ngas_server: str | None
    verdict: QaVerdict
    qa_notes: str
    casa_version: str | None = None
    pipeline_version: str | None = None
    status: str | None = None
    images: tuple[ImageMetadata, ...] = ()
    asked: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        owner(self.belongs_to)
        if _is_mous(self.belongs_to) and kind_of_result(self.locator) != IMAGE_SET:
            raise InvalidInput(f"{self.pipeline_run_id} makes nothing that could belong to {self.belongs_to}.")
        if self.files:
            ngas_server(self.ngas_server)
        if self.status is None:
            return
        calibration_status(self.status)
        if self.execution_block_locator is None:
            raise InvalidInput(f"{self.belongs_to} is no execution block, and only those have a calibration status.")
        if not self.files:
            raise InvalidInput(
                f"{self.belongs_to} cannot become {self.status}: nothing of its calibration is in NGAS, so nobody "
                "could restore it."
            )

    @property
    def locator(self) -> ResultLocator:
        """The archive's key of the result."""
        return result_locator(self.begins, self.pipeline_run_id, self.ingest_number)

    @property
    def former_locators(self) -> tuple[ResultLocator, ...]:
        """The archive's keys of what earlier ingests of the run may have written."""
        return tuple(
            result_locator(self.begins, self.pipeline_run_id, number) for number in range(1, self.ingest_number)
        )

    @property
    def execution_block_locator(self) -> str | None:
        """The execution block that it belongs to; None if it belongs to a MOUS."""
        return None if _is_mous(self.belongs_to) else self.belongs_to

    @property
    def mous_uid(self) -> str | None:
        """The MOUS that it belongs to; None if it belongs to an execution block."""
        return self.belongs_to if _is_mous(self.belongs_to) else None


def owner(value: object) -> Locator | MousUid:
    """Return the value as what a result can belong to.

    Raises:
        InvalidInput: it is neither the locator of an execution block nor the UID of a MOUS.
    """
    return mous_uid(value) if _is_mous(value) else locator(value)


def _is_mous(value: object) -> bool:
    return isinstance(value, str) and value.startswith("uid://A")


@dataclass(frozen=True, kw_only=True)
class CommittedFile:
    """A file of a result, as the archive's database has it; whatever that is.

    Attributes:
        kind: what it is among the result's files; None if the archive does not say.
        ngas_file_id: its id in NGAS.
        version: NGAS's version of it.
        size_bytes: its size.
        checksum: as it is recorded, a decimal number, possibly signed.
        checksum_type: what NGAS calls the algorithm.
        relative_path: its name.
        ngas_server: the server that has it, ``host:port``.

    Raises:
        InvalidInput: its version or size is no number that can be one.
    """

    kind: str | None
    ngas_file_id: str
    version: int
    size_bytes: int
    checksum: str
    checksum_type: str
    relative_path: str
    ngas_server: str

    def __post_init__(self) -> None:
        # A site's table may have them as numeric, as float or as text.
        label = f"{{}} of {quoted(self.ngas_file_id)} in the archive's database"
        for name, value, what, lowest, highest in (
            ("version", self.version, label.format("version"), 1, _LARGEST_VERSION),
            ("size_bytes", self.size_bytes, label.format("size in bytes"), 0, _LARGEST_SIZE),
        ):
            object.__setattr__(self, name, whole_number(value, lowest=lowest, highest=highest, what=what))

    @property
    def crc32(self) -> int | None:
        """Its CRC-32, unsigned; None if none is recorded."""
        try:
            if checksum_type(self.checksum_type) is ChecksumType.CRC32:
                return unsigned_checksum(self.checksum)
        except InvalidInput:
            pass
        return None


@dataclass(frozen=True, kw_only=True)
class CommittedResult:
    """A calibration or an image set, as the archive's database has it.

    Attributes:
        locator: its key.
        belongs_to: the execution block's locator, or the UID of the MOUS, as recorded.
        files: its files, by kind and id.
        casa_version: None if the archive does not say.
        pipeline_version: likewise.
        qa_notes: likewise.
        ingested_at: when it came into the archive (UTC).
        images: the names of the images that it has details of; of an image set.
    """

    locator: ResultLocator
    belongs_to: str
    files: tuple[CommittedFile, ...]
    casa_version: str | None
    pipeline_version: str | None
    qa_notes: str | None
    ingested_at: datetime
    images: tuple[str, ...] = ()


def metadata_gaps(committed: CommittedResult | None, expected: Iterable[ProvedFile]) -> tuple[str, ...]:
    """Return what the archive's database lacks of a result's files, a sentence each; none if it has them all.

    A file is there if id, version, size and CRC-32 are those expected; the name that people see may be another. Of an
    image there is also what the archive records of it, without which nobody would find it.

    Args:
        committed: what the archive has at this moment; None if it has nothing.
        expected: every file that the ingest recorded. If there is none, that is a gap: nothing was archived.
    """
    wanted = tuple(expected)
    if committed is None:
        return ("The archive's database has no such calibration or image set.",)
    if not wanted:
        return ("No file of it was recorded as archived, so the archive cannot have any.",)
    return tuple(gap for file in wanted if (gap := _gap(committed, file)) is not None)


def differences(committed: CommittedResult, wanted: ResultMetadata) -> tuple[str, ...]:
    """Return in what a result that is in the archive differs from one that is to be written under its locator.

    What it belongs to and its files count. Its QA notes do not: they may have been changed on purpose.

    Args:
        committed: what the archive has.
        wanted: what is to be written.
    """
    found = list(metadata_gaps(committed, wanted.files)) if wanted.files else []
    if committed.belongs_to != wanted.belongs_to:
        found.append(f"The archive has it as belonging to {quoted(committed.belongs_to)}, not to {wanted.belongs_to}.")
    ours = {(file.ngas_file_id, file.version) for file in wanted.files}
    found += [
        f"The archive also has {_name(file.ngas_file_id, file.version)} for it, which this ingest did not send."
        for file in committed.files
        if (file.ngas_file_id, file.version) not in ours
    ]
    return tuple(found)


def _gap(committed: CommittedResult, file: ProvedFile) -> str | None:
    name = _name(file.ngas_file_id, file.version)
    same_id = [record for record in committed.files if record.ngas_file_id == file.ngas_file_id]
    record = next((record for record in same_id if record.version == file.version), None)
    if record is None:
        others = ", ".join(str(other.version) for other in same_id)
        return f"The archive's database does not have {name}" + (f", but version {others}." if others else ".")
    if (record.size_bytes, record.crc32) == (file.size_bytes, file.crc32):
        is_described = file.kind not in _IMAGES or {file.relative_path, record.relative_path} & {*committed.images}
        return None if is_described else f"The archive's database has {name}, but no details of {file.relative_path}."
    return (
        f"The archive's database has {name} with {record.size_bytes} bytes and the checksum {quoted(record.checksum)} "
        f"({quoted(record.checksum_type)}), but ours has {file.size_bytes} bytes and the CRC-32 {file.crc32}."
    )


def _name(ngas_file_id: str, version: int) -> str:
    return f"{quoted(ngas_file_id)} version {version}"
