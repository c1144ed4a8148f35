"""Removing a run: one way for everybody who does it, so that the order is always the same.

Prove or decide, write ``cleaning``, rename, delete, write ``cleaned``. Killed anywhere, the next call finishes.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta

from srdp.domain.common.errors import Refused, SrdpError
from srdp.domain.disk.own_files import left_the_pipeline, own_files
from srdp.domain.disk.removal import Removal, own_places, remove_run_directories, visible_directories
from srdp.domain.events import payloads
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import RemovalBegun
from srdp.domain.ngas.proof import Proof
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import RunState, check_transition
from srdp.services.context import RunContext
from srdp.services.damaged_copies import damage_reported
from srdp.services.removal.archive_proof import prove_archived_run

log = logging.getLogger(__name__)

_MOST_NAMED = 3
# A day, with room for a daily look that comes somewhat earlier than the one before.
_NAMED_BEFORE = timedelta(hours=23)
# Of what could not be removed, the ledger keeps so much; the log has it all.
_MOST_RECORDED = 1000


class NotAllRemoved(SrdpError):
    """Something of a run could not be removed: the run stays ``cleaning``, and the next call tries again.

    Attributes:
        removal: what was removed, and what was not.
    """

    def __init__(self, run: PipelineRun, removal: Removal) -> None:
        self.removal = removal
        named = "; ".join(str(left) for left in removal.left[:_MOST_NAMED])
        more = len(removal.left) - _MOST_NAMED
        super().__init__(
            f"Not all of {run.pipeline_run_id} could be removed: {named}{f'; and {more} more' if more > 0 else ''}. "
            "Fix the cause and try again."
        )


class OwnFilesNamed(Refused):
    """A run's directory holds files that are an analyst's own, and they were not named a day before."""


def check_own_files(context: RunContext, *, record: bool = True) -> None:
    """Let a run pass whose directories hold no files of an analyst's own, or only such as were named a day before.

    Args:
        context: the run.
        record: whether they count as named by this call.

    Raises:
        OwnFilesNamed: they are named now; the run can be removed a day later.
        LocalFilesError: a directory cannot be read.
    """
    settings, ledger, run = context.settings, context.ledger, context.run
    since = left_the_pipeline(run.left_pipeline_at, ledger.casa.of_run(run.pipeline_run_id))
    if since is None:
        return
    now, archived = ledger.now(), ledger.ingests.in_force(run.pipeline_run_id) is not None
    given = ledger.submitted_files.of_run(run.pipeline_run_id).values()
    for directory in visible_directories(settings.areas, run.pipeline_run_id):
        own = own_files(directory, since, archived=archived, given=given)
        named = ledger.removals.own_files_named_at(run.pipeline_run_id, own.digest)
        if not own or (named is not None and named <= now - _NAMED_BEFORE):
            continue
        if record and named is None:
            files = own.names[:_MOST_RECORDED]
            ledger.removals.record_own_files_named(
                run.pipeline_run_id, own.digest, directory=str(directory.root), files=files
            )
        goes = (named or now) + _NAMED_BEFORE
        raise OwnFilesNamed(
            f"{directory.root} is not removed yet: somebody's own files are in it, {own}, which were written after the "
            f"pipeline had ended. Move away what is to be kept; from {goes:%Y-%m-%d %H:%M} UTC on a removal takes them "
            "along."
        )


def remove_run(context: RunContext) -> Removal:
    """Remove everything that is on disk of a run, and make it ``cleaned``; its cached measurement set stays.

    A run that is archived is removed only if the archive proves at this moment that it has it; no caller needs to ask
    before. The others were discarded by a decision in the ledger, as their state shows.

    Args:
        context: the run; its state is read again.

    Returns:
        What was removed; nothing if the run was ``cleaned`` before.

    Raises:
        NotAllRemoved: something could not be removed; everything else is.
        OwnFilesNamed: see :func:`check_own_files`; nothing was deleted.
        NotInArchive: the run is archived, and the archive does not prove it; nothing was deleted.
        CopiesDamaged: NGAS holds a damaged copy of a file beside a good one; the operators are notified.
        Refused: the run's state does not allow it, a directory of its name is not the run's, the archive has not been
            updated with its changed verdict, or see :func:`~srdp.services.removal.archive_proof.prove_archived_run`.
        ServiceUnavailable: an area or the ledger cannot be reached.
    """
    context = context.read_again()
    ledger, run, run_id, areas = context.ledger, context.run, context.run_id, context.settings.areas
    if run.state is RunState.CLEANED:
        return Removal()
    places = own_places(areas, run.marker)
    if run.state is not RunState.CLEANING:
        check_transition(run_id, run.state, RunState.CLEANING)
    proofs: tuple[Proof, ...] = ()
    if _needs_proof(context):
        with damage_reported(context, "removal") as report:
            proofs = prove_archived_run(context)
            report([copy for proof in proofs for copy in proof.damaged])
    if run.state is not RunState.CLEANING:
        # Last: other obstacles are reported before the one that takes a day.
        check_own_files(context)
    ledger.removals.begin(
        run_id,
        RemovalBegun(places=[str(path) for path in places], proved_in_archive=[asdict(proof.file) for proof in proofs]),
    )
    removal = remove_run_directories(areas, run.marker)
    if removal.left:
        for left in removal.left:
            log.error("%s", left)
        ledger.events.record(run_id, EventName.REMOVAL_INCOMPLETE, _details(removal))
        raise NotAllRemoved(run, removal)
    ledger.runs.transition(run_id, RunState.CLEANED, event=EventName.REMOVED, details=_details(removal))
    log.info(
        "%s is removed: %d directories, %.3f GB", run_id, len(removal.removed), removal.bytes_freed / 1_000_000_000
    )
    return removal


def _needs_proof(context: RunContext) -> bool:
    """Whether the archive must have the run: what is under its name is whole, what is hidden was proved before."""
    run = context.run
    if run.state is RunState.ARCHIVED:
        return True
    return (
        run.state is RunState.CLEANING
        and context.ledger.ingests.in_force(run.pipeline_run_id) is not None
        and bool(visible_directories(context.settings.areas, run.pipeline_run_id))
    )


def _details(removal: Removal) -> payloads.Removal:
    return payloads.Removal(
        bytes_freed=removal.bytes_freed,
        removed=[str(path) for path in removal.removed],
        left=[{"path": str(left.path), "why": left.why} for left in removal.left[:_MOST_RECORDED]],
        left_in_all=len(removal.left),
    )
