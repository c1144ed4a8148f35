"""What can happen to a pipeline run: the events of the ledger, each with what is known about it.

An event records what happened, for people. Nothing is decided by it: what the code decides by is a column or a table.
Names and keys are read for as long as there are ledgers that hold them; what changes is a migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from srdp.domain.events.payloads import (
    Archived,
    Assigned,
    AssignmentConfirmed,
    CasaAsked,
    CasaJobHeld,
    CasaStarted,
    ChangedVerdictWritten,
    Delivered,
    Ended,
    EngineChosen,
    Expiring,
    ExpiryFailed,
    GivenWithVerdict,
    IngestClaimed,
    IngestFailed,
    Judged,
    MailRefused,
    MousRead,
    NgasCopyDamaged,
    Nothing,
    OfIngest,
    Opened,
    OwnFilesNamed,
    RawDataThere,
    ReindexNotTaken,
    Rejected,
    Removal,
    RemovalBegun,
    RequestReopened,
    StatusKept,
    StepTold,
    SubmittedFileEdited,
    Superseded,
    VerdictChanged,
    VerdictWithdrawn,
)


class EventName(StrEnum):
    """The events, in the order in which most runs have them; ``docs/events.md`` shows them with their payloads."""

    OPENED = "opened"
    REQUEST_REOPENED = "request_reopened"
    ENGINE_CHOSEN = "engine_chosen"
    MOUS_READ = "mous_read"
    EXECUTION_BLOCK_SET_BACK = "execution_block_set_back"
    BEGUN = "begun"
    FETCHED = "fetched"
    LINKED = "linked"
    SUBMITTED_FILE_EDITED = "submitted_file_edited"
    CASA_ASKED = "casa_asked"
    CASA_STARTED = "casa_started"
    CASA_JOB_HELD = "casa_job_held"
    JUDGED = "judged"
    DELIVERED = "delivered"
    STEP_WAITS = "step_waits"
    STEP_FAILED = "step_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ASSIGNED = "assigned"
    ASSIGNMENT_CONFIRMED = "assignment_confirmed"
    INGEST_CLAIMED = "ingest_claimed"
    FLAG_TEMPLATE_GIVEN = "flag_template_given"
    QA_REPORT_GIVEN = "qa_report_given"
    METADATA_BEGUN = "metadata_begun"
    INGEST_FAILED = "ingest_failed"
    ARCHIVED = "archived"
    SUPERSEDED = "superseded"
    REINDEX_NOT_TAKEN = "reindex_not_taken"
    VERDICT_WITHDRAWN = "verdict_withdrawn"
    VERDICT_CHANGED = "verdict_changed"
    CHANGED_VERDICT_WRITTEN = "changed_verdict_written"
    REJECTED = "rejected"
    MARKED_DO_NOT_CALIBRATE = "marked_do_not_calibrate"
    CALIBRATION_STATUS_KEPT = "calibration_status_kept"
    EXPIRING = "expiring"
    CACHED_MEASUREMENT_SET_EXPIRING = "cached_measurement_set_expiring"
    EXPIRY_FAILED = "expiry_failed"
    OWN_FILES_NAMED = "own_files_named"
    REMOVAL_BEGUN = "removal_begun"
    REMOVAL_INCOMPLETE = "removal_incomplete"
    REMOVED = "removed"
    NGAS_COPY_DAMAGED = "ngas_copy_damaged"
    MAIL_REFUSED = "mail_refused"


class EventKind(NamedTuple):
    """An event, for people and programs.

    Attributes:
        says: what it says, in a sentence.
        payload: what is known about it.
    """

    says: str
    payload: Any


#: What each event says, and what is known about it.
EVENTS: Final[Mapping[EventName, EventKind]] = MappingProxyType(
    {
        EventName.OPENED: EventKind("A run was opened: for which DAG run, for whom, with what.", Opened),
        EventName.REQUEST_REOPENED: EventKind(
            "The request was sealed since a time, and is open again.", RequestReopened
        ),
        EventName.ENGINE_CHOSEN: EventKind("What runs the CASA jobs of the run.", EngineChosen),
        EventName.MOUS_READ: EventKind("What the archive had about the MOUS; all steps of the run use it.", MousRead),
        EventName.EXECUTION_BLOCK_SET_BACK: EventKind(
            "A former run had failed QA; its mark on the execution block in the archive is set back.", Nothing
        ),
        EventName.BEGUN: EventKind("The fetch has begun, and its mail is queued.", Nothing),
        EventName.FETCHED: EventKind("The raw data were fetched from NGAS, and proved.", RawDataThere),
        EventName.LINKED: EventKind("The raw data are links to those of the run that this one repeats.", RawDataThere),
        EventName.SUBMITTED_FILE_EDITED: EventKind(
            "A person has edited a file in `working/` before CASA was started; the edited one counts.",
            SubmittedFileEdited,
        ),
        EventName.CASA_ASKED: EventKind(
            "Which job an engine is asked for, before it is: its record, and the CASA release.", CasaAsked
        ),
        EventName.CASA_STARTED: EventKind("CASA has started.", CasaStarted),
        EventName.CASA_JOB_HELD: EventKind("The batch system holds the CASA job; a mail reports it.", CasaJobHeld),
        EventName.JUDGED: EventKind(
            "Whether what CASA left is proved complete: what is missing, and warnings for those who review it.",
            Judged,
        ),
        EventName.DELIVERED: EventKind("The run is in the QA area and waits for its verdict.", Delivered),
        EventName.STEP_WAITS: EventKind("A step waits for something that is away, and is tried again.", StepTold),
        EventName.STEP_FAILED: EventKind("A step has failed and is not tried again.", StepTold),
        EventName.FAILED: EventKind("The run has failed: at which step, and why.", Ended),
        EventName.CANCELLED: EventKind("The run was cancelled: at which step, and why.", Ended),
        EventName.ASSIGNED: EventKind("The run was given to somebody to review.", Assigned),
        EventName.ASSIGNMENT_CONFIRMED: EventKind(
            "The run was given to whom it was given already.", AssignmentConfirmed
        ),
        EventName.INGEST_CLAIMED: EventKind(
            "A DAG run begins, or tries again, to ingest the run with a verdict.", IngestClaimed
        ),
        EventName.FLAG_TEMPLATE_GIVEN: EventKind(
            "A flag template was given with the verdict, and is archived with the run.", GivenWithVerdict
        ),
        EventName.QA_REPORT_GIVEN: EventKind(
            "A QA report was given with the verdict, and is archived with the run.", GivenWithVerdict
        ),
        EventName.METADATA_BEGUN: EventKind("From now on the archive's database may have been written.", OfIngest),
        EventName.INGEST_FAILED: EventKind("The ingest has failed: at which step, and why.", IngestFailed),
        EventName.ARCHIVED: EventKind("All of an ingest is proved.", Archived),
        EventName.SUPERSEDED: EventKind("Another run of the request was archived with a Pass.", Superseded),
        EventName.REINDEX_NOT_TAKEN: EventKind(
            "The archive does not take a request to index the project again; the operations managers are notified.",
            ReindexNotTaken,
        ),
        EventName.VERDICT_WITHDRAWN: EventKind(
            "The verdict is taken back; NGAS may have files that belong to nothing.", VerdictWithdrawn
        ),
        EventName.VERDICT_CHANGED: EventKind("The archived run was given another verdict.", VerdictChanged),
        EventName.CHANGED_VERDICT_WRITTEN: EventKind(
            "The archive has the verdict up to the change of this number.", ChangedVerdictWritten
        ),
        EventName.REJECTED: EventKind(
            "The run failed QA; who was to review it is named if somebody else decided.", Rejected
        ),
        EventName.MARKED_DO_NOT_CALIBRATE: EventKind(
            "The execution block is marked in the archive, because the run failed QA.", Nothing
        ),
        EventName.CALIBRATION_STATUS_KEPT: EventKind(
            "The execution block is not marked although the run failed QA, and why.", StatusKept
        ),
        EventName.EXPIRING: EventKind("The run's directory has expired, and a DAG run removes it now.", Expiring),
        EventName.CACHED_MEASUREMENT_SET_EXPIRING: EventKind(
            "The run's calibrated measurement set has expired, and a DAG run removes it now.", Expiring
        ),
        EventName.EXPIRY_FAILED: EventKind("What has expired could not be removed.", ExpiryFailed),
        EventName.OWN_FILES_NAMED: EventKind(
            "People were notified of their own files in the run's directory; a day later a removal takes them along.",
            OwnFilesNamed,
        ),
        EventName.REMOVAL_BEGUN: EventKind(
            "The run's directories are being removed: where they are, and what of them is proved to be in the archive.",
            RemovalBegun,
        ),
        EventName.REMOVAL_INCOMPLETE: EventKind("Not everything could be removed.", Removal),
        EventName.REMOVED: EventKind("The run's directories are removed.", Removal),
        EventName.NGAS_COPY_DAMAGED: EventKind(
            "Copies in NGAS are damaged; who found them was fetching, ingesting or removing.", NgasCopyDamaged
        ),
        EventName.MAIL_REFUSED: EventKind("A mail does not go to some recipients, and why for each.", MailRefused),
    }
)
