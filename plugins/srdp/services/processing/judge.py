"""Judging what CASA has left."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from srdp.domain.casa.outcome import Outcome, OutcomeNotProved, judge
from srdp.domain.casa.whole_products import unfinished_products
from srdp.domain.common.errors import quoted
from srdp.domain.files.shared_folders import list_shared
from srdp.domain.imaging.asked_images import images_not_made
from srdp.domain.imaging.request import ImagingRequest
from srdp.domain.ppr.document import read_processing_request
from srdp.domain.runs.ledger_records import CasaAttempt, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.services.context import RunContext
from srdp.services.processing.casa_end import CasaJobFailed, CasaJobLost, record_casa_end
from srdp.services.processing.left_by_casa import record_what_casa_left, try_to_record_what_casa_left

log = logging.getLogger(__name__)

# The sentence that fails the task shows this many gaps; its log and the ledger's event hold all.
_GAPS_SHOWN = 8


def judge_outcome(context: RunContext) -> None:
    """Prove that CASA's run is a success, or say everything that the proof lacks; may be repeated.

    Args:
        context: a run that is being processed.

    Raises:
        CasaJobFailed: CASA did not run to its end; the message says why.
        OutcomeNotProved: it is not proved a success; the message says what is missing.
    """
    attempt, lost = _ended(context)
    record_what_casa_left(context)
    outcome = _outcome(context, attempt, lost)
    _record(context, attempt, outcome)
    _log(outcome)
    if not outcome.proved:
        shown = " ".join(outcome.missing[:_GAPS_SHOWN])
        more = len(outcome.missing) - _GAPS_SHOWN
        raise OutcomeNotProved(
            f"CASA ended, but its result is not proved: {shown}" + (f" And {more} more." if more > 0 else "")
        )


def _ended(context: RunContext) -> tuple[CasaAttempt, CasaJobLost | None]:
    """Return how CASA ended, and the error if nobody recorded that."""
    try:
        return record_casa_end(context), None
    except CasaJobLost as error:
        # A full or absent spool loses the record of an end, and not what CASA has made in days.
        return error.attempt, error
    except CasaJobFailed:
        # A rerun must distinguish what CASA wrote before it failed from what an analyst wrote.
        try_to_record_what_casa_left(context)
        raise


def _outcome(context: RunContext, attempt: CasaAttempt, lost: CasaJobLost | None) -> Outcome:
    run, directory = context.run, context.directory()
    outcome = judge(
        directory,
        read_processing_request(directory).commands,
        attempt.started_at or run.created_at,
        raw_data=context.ledger.fetched_files.of_run(context.run_id),
        exit_code=attempt.exit_code,
        science_images=context.family.science_patterns(context.settings),
    )
    if lost is not None:
        gaps = (*outcome.missing, *unfinished_products(directory))
        if gaps:
            log.info("What it left does not prove either that CASA came to its end: %s", " ".join(gaps))
            raise lost
    return replace(
        outcome,
        warnings=(
            *outcome.warnings,
            *_lost_warnings(lost),
            *_release_warnings(context, outcome),
            *_asked_warnings(run, directory),
        ),
    )


def _record(context: RunContext, attempt: CasaAttempt, outcome: Outcome) -> None:
    ledger, run_id = context.ledger, context.run_id
    ledger.casa.record(
        run_id,
        attempt.attempt,
        casa_version=outcome.casa_version,
        pipeline_version=outcome.pipeline_version,
    )
    ledger.runs.record_scores(run_id, outcome.lowest.score if outcome.lowest else None, _scores(outcome))
    ledger.runs.record_judged(run_id, is_proved=outcome.proved, missing=outcome.missing, warnings=outcome.warnings)


def _log(outcome: Outcome) -> None:
    log.info("CASA %s, pipeline %s", outcome.casa_version, outcome.pipeline_version)
    for stage in outcome.stages:
        log.info("Stage %s, %s: QA score %s. %s", stage.number, stage.name, stage.score, stage.reason)
    for warning in outcome.warnings:
        log.warning("%s", warning)
    for gap in outcome.missing:
        log.error("%s", gap)
    if outcome.missing:
        log.info("The stage in which it seems to have failed: %s. The end of CASA's log:", outcome.failed_stage)
        for line in outcome.log_tail:
            log.info("  | %s", line)


def _lost_warnings(lost: CasaJobLost | None) -> Iterator[str]:
    if lost is not None:
        yield (
            f"How CASA ended was not recorded ({lost}) Its result is complete by all that it left, and is taken: "
            "look at the weblog's last stages."
        )


def _release_warnings(context: RunContext, outcome: Outcome) -> Iterator[str]:
    """What differs between a rerun and the run that it repeats need not come from the analyst's files alone."""
    run = context.run
    former = next(reversed(context.ledger.casa.of_run(run.former_run)), None) if run.former_run else None
    if former is None:
        return
    versions = {
        "CASA": (former.casa_version, outcome.casa_version),
        "pipeline": (former.pipeline_version, outcome.pipeline_version),
    }
    for name, (then, now) in versions.items():
        if then and now and then != now:
            yield (
                f"The {name} was {quoted(now)}, but {quoted(then)} in {run.former_run}, which this run repeats: what "
                "differs between the two need not come from the files that were given."
            )


def _asked_warnings(run: PipelineRun, directory: RunDirectory) -> Iterator[str]:
    if run.asked is not None:
        names = [path.name for path in list_shared(directory.root, directory.products, "*.fits")]
        yield from images_not_made(ImagingRequest.from_json(run.asked), names)


def _scores(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {"stage": stage.number, "name": stage.name, "score": stage.score, "reason": stage.reason}
        for stage in outcome.stages
    ]
