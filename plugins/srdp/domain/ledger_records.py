"""What the ledger holds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from srdp.domain.identifiers import PipelineRunId
from srdp.domain.states import RunState

#: The kind of a request to calibrate one VLA execution block; also what Airflow calls the DAG that does it.
VLA_CALIBRATION = "vla_calibration"


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
        requested_by: who asked: a person's login, or the sensor.
        recipe: the PPR template's name.
        cores: cores that its CASA jobs ask for.
        memory_gb: memory, in GB, that its CASA jobs ask for.
        failure: why it failed or was cancelled, in one sentence; None if it did not.
        ppr_sha256: checksum (64 hexadecimal digits) of the PPR that CASA is started with; None until it is written.
        lowest_score: the lowest QA score, from 0 to 1 (-0.1: a scorer crashed); None if there is none.
        scores: the QA scores as they were recorded; None until then.
        created_at: when it was opened (UTC).
        state_since: when it came into its state (UTC).
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


@dataclass(frozen=True, kw_only=True)
class QueuedMail:
    """A mail in the outbox.

    Attributes:
        mail_id: its number in the outbox.
        pipeline_run_id: the run that it is about; None if none could be opened.
        key: which of the run's mails it is.
        message_id: its Message-ID, the same at every attempt so that a mail sent twice is seen as one.
        sender: the address that it comes from.
        recipients: whom it is addressed to.
        pending: those of them whom the server has not accepted yet.
        subject: one line.
        text: the plain text.
        html: the same in HTML.
        queued_at: when the event that it tells of was recorded (UTC); also the mail's date.
        attempts: how often it was tried before.
        sent_at: when the server had accepted it for everybody (UTC); None while it waits.
    """

    mail_id: int
    pipeline_run_id: PipelineRunId | None
    key: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    pending: tuple[str, ...]
    subject: str
    text: str
    html: str
    queued_at: datetime
    attempts: int
    sent_at: datetime | None
