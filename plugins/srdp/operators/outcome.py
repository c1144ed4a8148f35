"""Judging what CASA has left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import quoted
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator, check_processing
from srdp.operators.casa_end import CasaJobFailed, CasaJobLost, record_casa_end
from srdp.operators.left_by_casa import record_what_casa_left, try_to_record_what_casa_left

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.casa.outcome import Outcome
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.hooks.ledger import LedgerHook

# The sentence that fails the task shows this many gaps; its log and the ledger's event hold all.
_GAPS_SHOWN = 8


class JudgeOutcomeOperator(PipelineRunOperator):
    """Proves that CASA's run is a success, or says everything that the proof lacks.

    It records how the CASA job ended, and judges a job of which nobody recorded that by what it left, the scores
    and the versions. CASA's exit status is recorded and proves nothing. It reads files only, and may be repeated
    until the run is delivered or has failed. That a rerun was made with another CASA or pipeline than the run that
    it repeats is a warning, and so is an image that was asked for and is not there although others are.

    Args:
        pipeline_run_id: the run (templated).
    """

    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Judges the run.

        Raises:
            CasaJobFailed: CASA did not run to its end; the sentence says why.
            OutcomeNotProved: it is not proved a success; the sentence says what is missing.
        """
        from srdp.domain.casa.outcome import OutcomeNotProved, judge
        from srdp.domain.casa.whole_products import unfinished_products
        from srdp.domain.ppr.document import read_processing_request
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.domain.runs.pipeline_run import find_run_directory
        from srdp.families import family_of
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        check_processing(run, "The outcome is not judged")
        run_id = run.pipeline_run_id
        lost: CasaJobLost | None = None
        try:
            attempt = record_casa_end(settings, ledger, run_id, self.log)
        except CasaJobLost as error:
            # A full or absent spool loses the record of an end, and not what CASA has made in days.
            attempt, lost = error.attempt, error
        except CasaJobFailed:
            # A rerun must tell what CASA wrote before it failed from what an analyst wrote.
            try_to_record_what_casa_left(settings, ledger, run, self.log)
            raise
        record_what_casa_left(settings, ledger, run)
        directory = find_run_directory(settings.areas, run_id)
        outcome = judge(
            directory,
            read_processing_request(directory).commands,
            attempt.started_at or run.created_at,
            raw_data=ledger.fetched_files(run_id),
            exit_code=attempt.exit_code,
            science_images=family_of(run.kind).science_patterns(settings),
        )
        if lost is not None:
            gaps = (*outcome.missing, *unfinished_products(directory))
            if gaps:
                self.log.info("What it left does not prove either that CASA came to its end: %s", " ".join(gaps))
                raise lost
        outcome = replace(
            outcome,
            warnings=(
                *outcome.warnings,
                *_lost_warnings(lost),
                *_release_warnings(ledger, run, outcome),
                *_asked_warnings(run, directory),
            ),
        )
        ledger.record_casa(
            run_id,
            attempt.attempt,
            casa_version=outcome.casa_version,
            pipeline_version=outcome.pipeline_version,
        )
        ledger.record_scores(run_id, outcome.lowest.score if outcome.lowest else None, _scores(outcome))
        ledger.record(
            run_id,
            "judged",
            {"proved": outcome.proved, "missing": list(outcome.missing), "warnings": list(outcome.warnings)},
        )
        self._log_outcome(outcome)
        if not outcome.proved:
            shown = " ".join(outcome.missing[:_GAPS_SHOWN])
            more = len(outcome.missing) - _GAPS_SHOWN
            raise OutcomeNotProved(
                f"CASA ended, but its result is not proved: {shown}" + (f" And {more} more." if more > 0 else "")
            )

    def _log_outcome(self, outcome: Outcome) -> None:
        self.log.info("CASA %s, pipeline %s", outcome.casa_version, outcome.pipeline_version)
        for stage in outcome.stages:
            self.log.info("Stage %s, %s: QA score %s. %s", stage.number, stage.name, stage.score, stage.reason)
        for warning in outcome.warnings:
            self.log.warning("%s", warning)
        for gap in outcome.missing:
            self.log.error("%s", gap)
        if outcome.missing:
            self.log.info(
                "The stage in which it seems to have failed: %s. The end of CASA's log:", outcome.failed_stage
            )
            for line in outcome.log_tail:
                self.log.info("  | %s", line)


def _lost_warnings(lost: CasaJobLost | None) -> Iterator[str]:
    if lost is not None:
        yield (
            f"How CASA ended was not recorded ({lost}) Its result is complete by all that it left, and is taken: "
            "look at the weblog's last stages."
        )


def _release_warnings(ledger: LedgerHook, run: PipelineRun, outcome: Outcome) -> Iterator[str]:
    """What differs between a rerun and the run that it repeats need not come from the analyst's files alone."""
    former = next(reversed(ledger.casa_attempts(run.former_run)), None) if run.former_run else None
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
    from srdp.domain.files.shared_folders import list_shared
    from srdp.domain.imaging.asked_images import images_not_made
    from srdp.domain.imaging.request import ImagingRequest

    if run.asked is not None:
        names = [path.name for path in list_shared(directory.root, directory.products, "*.fits")]
        yield from images_not_made(ImagingRequest.from_json(run.asked), names)


def _scores(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {"stage": stage.number, "name": stage.name, "score": stage.score, "reason": stage.reason}
        for stage in outcome.stages
    ]
