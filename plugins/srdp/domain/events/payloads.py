"""What is known about each event of :mod:`srdp.domain.events.names`; all of it fits JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class Nothing(TypedDict):
    """Nothing is known but that it happened."""


class SubmittedFileNamed(TypedDict):
    """A file that CASA is given, by its name and its bytes' checksum."""

    name: str
    source: str
    sha256: str


class _Warned(TypedDict, total=False):
    """Warnings for those who review it."""

    warnings: list[str]


class Opened(_Warned):
    """For which DAG run, for whom, with what."""

    locator: str
    dag_id: str
    dag_run_id: str
    requested_by: str
    recipe: str
    cores: int
    memory_gb: int
    casa_release: str
    former_run: str | None
    files: list[SubmittedFileNamed]


class RequestReopened(TypedDict):
    """The request was sealed since a time, and is open again."""

    sealed_at: str


class EngineChosen(TypedDict):
    """What runs the CASA jobs of the run."""

    engine: str


class MousRead(TypedDict):
    """What the archive had about the MOUS; all steps of the run use it."""

    mous: Mapping[str, Any]


class RawDataOrigin(TypedDict, total=False):
    """Of which run the raw data are links, and how many had to be copied; or why they are no links."""

    former_run: str
    copied: int
    not_linked: str


class RawDataThere(RawDataOrigin):
    """The raw data are there: how many files and bytes, in how many seconds, and from where."""

    files: int
    bytes: int
    seconds: float


class SubmittedFileEdited(TypedDict):
    """A person has edited a file in ``working/`` before CASA was started; the edited one counts."""

    name: str
    sha256_submitted: str
    sha256_edited: str


class CasaAsked(TypedDict, total=False):
    """Which job an engine is asked for, before it is: its record, and the CASA release."""

    name: str
    command: list[str]
    casa_release: str


class CasaStarted(TypedDict):
    """CASA has started."""

    job_name: str
    host: str | None


class CasaJobHeld(TypedDict):
    """The batch system holds the job, and why."""

    job_name: str
    cause: str


class Judged(TypedDict):
    """Whether what CASA left is proved complete: what is missing, and warnings for those who review it."""

    proved: bool
    missing: list[str]
    warnings: list[str]


class Delivered(TypedDict):
    """The run is in the QA area."""

    directory: str


# A key is a word of Python's.
StepTold = TypedDict("StepTold", {"task": str, "try": int, "sentence": str, "kind": str})
StepTold.__doc__ = "A step waits for what is away, or has failed: which try, with which error."


class Ended(TypedDict):
    """The run has failed or was cancelled: at which step, and why."""

    step: str
    sentence: str


class Assigned(TypedDict):
    """A run was given to somebody to review."""

    data_analyst: str
    assigned_by: str
    number: int
    dag_id: str
    dag_run_id: str


class AssignmentConfirmed(TypedDict):
    """A run was given to whom it was given already."""

    data_analyst: str
    assigned_by: str
    number: int
    answer: str


class People(TypedDict, total=False):
    """Who gave a verdict, and who was to, if that is somebody else."""

    given_by: str
    assigned_to: str


class IngestClaimed(People):
    """A DAG run has begun, or tries again, to ingest the run with a verdict."""

    qa_flag: str
    dag_id: str
    dag_run_id: str
    requested_by: str


class GivenWithVerdict(TypedDict, total=False):
    """A file was given with the verdict, and is archived with the run; of a flag template also what is known of it."""

    number: int
    source: str
    sha256: str
    used: bool
    note: str


class OfIngest(TypedDict):
    """The number of the ingest."""

    number: int


class IngestFailed(Ended):
    """The ingest has failed: at which step, and why."""

    number: int


class Archived(TypedDict):
    """The flag, the number of the ingest, and whether it put files into NGAS."""

    qa_flag: str
    number: int
    in_ngas: bool


class Superseded(TypedDict):
    """Another run of the request was archived with a Pass."""

    by: str


class ReindexNotTaken(TypedDict):
    """The archive does not take a request to index the project again; the operations managers are notified."""

    project: str
    sentence: str
    for_all: bool


class VerdictWithdrawn(TypedDict):
    """The verdict is taken back; NGAS may have files that belong to nothing."""

    by: str
    reason: str
    orphans: list[str]


# A key is a word of Python's.
VerdictChanged = TypedDict(
    "VerdictChanged",
    {
        "by": str,
        "from": str,
        "to": str,
        "dag_id": str,
        "dag_run_id": str,
        "changes": list[str],
        "given_by": NotRequired[str],
        "assigned_to": NotRequired[str],
    },
)
VerdictChanged.__doc__ = "An archived run was given another verdict."


class ChangedVerdictWritten(TypedDict):
    """The archive has the verdict up to this change."""

    number: int


class _Reviewer(TypedDict, total=False):
    """Who was to review it, if somebody else decided."""

    assigned_to: str


class Rejected(_Reviewer):
    """The reason, and the person who decided."""

    reason: str
    by: str


class StatusKept(TypedDict):
    """The execution block is not marked, and why."""

    why: str


class Expiring(TypedDict):
    """It has expired, and a DAG run removes it now."""

    dag_run_id: str
    kind: str
    subject: str
    since: str
    expires_at: str
    size_bytes: int


class ExpiryFailed(TypedDict):
    """It has expired, and could not be removed."""

    dag_run_id: str
    kind: str
    why: str


class OwnFilesNamed(TypedDict):
    """People were notified of their own files in a run's directory; a day later a removal takes them along."""

    directory: str
    digest: str
    files: list[str]


class RemovalBegun(TypedDict):
    """The run's directories are being removed: where they are, and what of them is proved to be in the archive."""

    places: list[str]
    proved_in_archive: list[Mapping[str, Any]]


class Removal(TypedDict):
    """What was removed, and what could not be."""

    bytes_freed: int
    removed: list[str]
    left: list[Mapping[str, str]]
    left_in_all: int


class NgasCopyDamaged(TypedDict):
    """Copies in NGAS are damaged: which, and what was being done when they were found."""

    found_by: str
    copies: list[Mapping[str, Any]]


class MailRefused(TypedDict):
    """A mail does not go to some recipients: which mail, and why for each."""

    key: str
    refused: Mapping[str, str]
