"""What the ledger holds, as values."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from srdp.domain.common.errors import quoted
from srdp.domain.events.names import EventName
from srdp.domain.qa.verdict import QaVerdict
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.run_marker import RunMarker
from srdp.domain.runs.states import RunState, remedy_for

#: What the settings' first CASA installation is called unless they say otherwise.
DEFAULT_CASA_RELEASE = "default"


@dataclass(frozen=True, kw_only=True)
class PipelineRun:
    """One attempt at a request.

    Attributes:
        pipeline_run_id: what people type, and the name of the run's directory.
        kind: what is made of the subject, for example ``vla_calibration``.
        subject: the EB name (VLA) or the MOUS UID (ALMA).
        project: the project code, for example ``13A-537``.
        locator: the archive's key of the subject.
        version: 1 for the request's first run, then 2, 3 and so on.
        state: where it stands.
        dag_id: the DAG that opened the run.
        dag_run_id: the DAG run that opened it.
        requested_by: the user: a person's login, or in words how it was triggered.
        recipe: the PPR template's name.
        cores: cores that its CASA jobs ask for.
        memory_gb: memory, in GB, that its CASA jobs ask for.
        failure: why it failed or was cancelled, in one sentence; None if it did not.
        ppr_sha256: checksum (64 hexadecimal digits) of the PPR that CASA is started with; None until it is written.
        lowest_score: the lowest QA score, from 0 to 1 (-0.1: a scorer crashed); None if there is none.
        scores: the QA scores as they were recorded; None until then.
        created_at: when it was opened (UTC).
        state_since: when it came into its state (UTC).
        former_run: the run that this one repeats with other files; None for a first run.
        casa_release: which of the CASA installations of the settings it runs in.
        request_digest: distinguishes what users ask of one subject; empty where there is but one thing to ask.
        asked: what the user asked for, and who that is, as JSON; None for a calibration.
        engine: what runs its CASA jobs; None for a run of a former release, which had one only.
        mous: what the archive said of its MOUS when it was opened, as JSON; None for an execution block.
        is_proved: whether what CASA left was proved complete; None until it is judged.
        left_pipeline_at: when it was delivered, or had failed before that (UTC); None until then.
        rejected_at: when it failed QA (UTC); None if it did not.
        directory_token: what the run's directories hold to be known by; see :mod:`srdp.domain.runs.run_marker`. One
            that did not come from the ledger is no directory's.
    """

    pipeline_run_id: PipelineRunId
    kind: str
    subject: str
    project: str
    locator: str
    version: int
    state: RunState
    dag_id: str
    dag_run_id: str
    requested_by: str
    recipe: str
    cores: int
    memory_gb: int
    failure: str | None
    ppr_sha256: str | None
    lowest_score: float | None
    scores: Any
    created_at: datetime
    state_since: datetime
    former_run: PipelineRunId | None = None
    casa_release: str = DEFAULT_CASA_RELEASE
    request_digest: str = ""
    asked: Mapping[str, Any] | None = None
    engine: str | None = None
    mous: Mapping[str, Any] | None = None
    is_proved: bool | None = None
    left_pipeline_at: datetime | None = None
    rejected_at: datetime | None = None
    directory_token: uuid.UUID = field(default_factory=uuid.uuid4, compare=False, repr=False)

    @property
    def marker(self) -> RunMarker:
        """By what the run's directories are known."""
        return RunMarker(self.pipeline_run_id, self.directory_token)

    @property
    def in_the_way(self) -> str:
        """That this run keeps another from being started: who started it, and what can be done; ends a sentence."""
        return (
            f"pipeline run {self.pipeline_run_id} is active (state {self.state}), started by "
            f"{quoted(self.requested_by)} on {self.created_at:%Y-%m-%d at %H:%M} UTC, in the DAG run "
            f"{quoted(self.dag_run_id, 120)} of {self.dag_id}; {remedy_for(self.state)}"
        )


@dataclass(frozen=True, kw_only=True)
class SubmittedFile:
    """The PPR or an analyst's file, as CASA is given it; the bytes are never changed.

    Attributes:
        name: what it is, for example ``PPR.xml`` or ``flagtemplate.txt``; not yet the name that CASA looks for.
        content: its bytes.
        source: where it comes from, for a person: a path, ``pasted``, ``recipe vla_calibration``.
    """

    name: str
    content: bytes
    source: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """A verdict and the ingest into the archive that it asks for.

    Attributes:
        pipeline_run_id: the run.
        number: 1 for the run's first verdict; 2 after that one was withdrawn, and so on.
        claimed_at: the time of the ingest (UTC), the same in every try; QA notes and names hold it.
        tries: how often it was begun.
        dag_id: the DAG that works on it, or did last.
        dag_run_id: the DAG run that works on it, or did last.
        requested_by: the user who asked for the ingest, or for its last try.
        verdict: the verdict.
        committed_at: when the archive had the metadata (UTC); None before.
        metadata_begun_at: from when on the archive's database may have been written (UTC); None before.
    """

    pipeline_run_id: PipelineRunId
    number: int
    claimed_at: datetime
    tries: int
    dag_id: str
    dag_run_id: str
    requested_by: str
    verdict: QaVerdict
    committed_at: datetime | None
    metadata_begun_at: datetime | None = None

    @property
    def given_by(self) -> str:
        """Who gave the verdict, and for whom if the form named somebody else."""
        return self.verdict.author if self.verdict.given_by else self.requested_by


@dataclass(frozen=True, kw_only=True)
class VerdictChange:
    """Another verdict on a run that is archived.

    Attributes:
        pipeline_run_id: the run.
        number: 1 for its first change, then 2, and so on.
        changed_at: when it was given (UTC).
        changed_by: who gave it.
        changes: what it changes, one sentence each.
        dag_id: the DAG that writes it into the archive; None if that is not known.
        dag_run_id: the DAG run that does; None if that is not known.
        written_at: when the archive had it, or a later one (UTC); None before.
    """

    pipeline_run_id: PipelineRunId
    number: int
    changed_at: datetime
    changed_by: str
    changes: Sequence[str]
    dag_id: str | None
    dag_run_id: str | None
    written_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class FileOfIngest:
    """A file that an ingest puts into NGAS, as the ledger knows it.

    Attributes:
        ngas_file_id: its id there, derived from the pipeline run ID.
        kind: ``calibration`` or ``weblog``; of images ``science``, ``ancillary`` and so on.
        name: what people see it called, in the archive.
        mime_type: one that the NGAS server is configured for.
        size_bytes: its size.
        crc32: its CRC-32, unsigned.
        sent_at: from when on bytes of it may have reached NGAS (UTC); None: none can have.
        ngas_version: NGAS's version of it; None until it is proved.
        proved_at: when NGAS had read its copy again and found it good (UTC); None before.
        product: the product that is sent as it is in ``products/``; None if it is packed again for the archive.
    """

    ngas_file_id: str
    kind: str
    name: str
    mime_type: str
    size_bytes: int
    crc32: int
    sent_at: datetime | None = None
    ngas_version: int | None = None
    proved_at: datetime | None = None
    product: str | None = None


@dataclass(frozen=True, kw_only=True)
class CachedMeasurementSet:
    """A calibrated measurement set that is kept for users for a while.

    Attributes:
        pipeline_run_id: the run that made it.
        path: where it is.
        cached_at: since when (UTC).
        expires_at: from when on it may be removed (UTC).
        removed_at: when it was removed (UTC); None while it is there.
    """

    pipeline_run_id: PipelineRunId
    path: str
    cached_at: datetime
    expires_at: datetime
    removed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a run; never changed and never removed.

    Attributes:
        pipeline_run_id: the run.
        happened_at: when (UTC).
        event: what, in a word, for example ``delivered``.
        details: what else is known about it.
        state_before: the state that the event ended; None if it changed no state.
        state_after: the state that the event began; None if it changed no state.
    """

    pipeline_run_id: PipelineRunId
    happened_at: datetime
    event: str
    details: Mapping[str, Any]
    state_before: RunState | None
    state_after: RunState | None


def warned_at_opening(events: Iterable[Event]) -> list[str]:
    """Return what a run's request was warned of when the run was opened.

    Args:
        events: what happened to the run.
    """
    return [
        str(text) for event in events if event.event == EventName.OPENED for text in event.details.get("warnings", ())
    ]


def submitted_at_opening(events: Iterable[Event]) -> list[dict[str, str]]:
    """Return the files that a run was given, each with its ``name``, its ``source`` and its ``sha256``.

    What a person has edited in ``working/`` before CASA was started is reported as such.

    Args:
        events: what happened to the run.
    """
    files: dict[str, dict[str, str]] = {}
    for event in events:
        if event.event == EventName.OPENED:
            files |= {str(each["name"]): {**each} for each in event.details.get("files", ())}
        elif event.event == EventName.SUBMITTED_FILE_EDITED:
            name, edited = str(event.details["name"]), str(event.details["sha256_edited"])
            files[name] = {"name": name, "source": "edited in working/ before CASA was started", "sha256": edited}
    return list(files.values())


@dataclass(frozen=True, kw_only=True)
class CasaAttempt:
    """One start of CASA for a run.

    Attributes:
        pipeline_run_id: the run.
        attempt: 1 for the first.
        job_name: the job's name at the engine.
        host: where it ran.
        started_at: when it started (UTC).
        ended_at: when it ended (UTC); None while it runs.
        exit_code: its exit status, which is not a success signal.
        signal: the name of the signal that ended it, for example ``SIGKILL``, if one did.
        peak_memory_bytes: the most memory it used.
        casa_version: as CASA says.
        pipeline_version: as the pipeline says.
        ppr_sha256_before: the PPR's checksum when it was started.
        ppr_sha256_after: the PPR's checksum when it ended.
    """

    pipeline_run_id: PipelineRunId
    attempt: int
    job_name: str | None = None
    host: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    signal: str | None = None
    peak_memory_bytes: int | None = None
    casa_version: str | None = None
    pipeline_version: str | None = None
    ppr_sha256_before: str | None = None
    ppr_sha256_after: str | None = None


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """One file of the raw data, as it was proved when it was fetched.

    Attributes:
        path: relative to ``rawdata/``, with ``/`` between folders.
        size_bytes: its size.
        crc32: its CRC-32 as an unsigned number.
        ngas_file_id: NGAS's name of it.
        ngas_version: NGAS's version of it; None if the locator report named none.
        mtime_ns: its time of modification when it was complete, in nanoseconds since 1970; None if not recorded.
    """

    path: str
    size_bytes: int
    crc32: int
    ngas_file_id: str
    ngas_version: int | None = None
    mtime_ns: int | None = None
