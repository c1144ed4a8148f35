"""Removing what has expired."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from srdp.domain.common.errors import InvalidInput, Refused, SrdpError, quoted
from srdp.domain.common.form_fields import says_nothing, truth
from srdp.domain.disk.removal import places_of_run, remove_run_directories
from srdp.domain.retention.brake import check_clocks, list_name
from srdp.domain.retention.expiry import (
    Expiring,
    ExpiryReport,
    Space,
    entries,
    expiring_measurement_set,
    expiring_run,
    unknown_entries,
)
from srdp.domain.retention.kinds import CALIBRATED_MEASUREMENT_SETS
from srdp.domain.retention.rules import Retention, read_retention
from srdp.domain.runs.execution_block import DO_NOT_CALIBRATE
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id
from srdp.domain.runs.ledger_records import CachedMeasurementSet, PipelineRun
from srdp.domain.runs.pipeline_run import Areas
from srdp.domain.runs.states import TAKES_RAW_DATA, RunState
from srdp.families import family_of, result_locator, retention_kinds
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.notifications.expiry_report import expiry_asks, expiry_not_done, expiry_report
from srdp.services.context import Origin, SiteContext
from srdp.services.removal.archive_proof import prove_archived_run
from srdp.services.removal.rejected_runs import mark_is_due
from srdp.services.removal.remove_run import OwnFilesNamed, check_own_files, remove_run

log = logging.getLogger(__name__)


class NotRemoved(SrdpError):
    """Something that has expired could not be removed.

    Attributes:
        report: what was done, if the whole look came to its end.
    """

    def __init__(self, sentence: str, report: ExpiryReport | None = None) -> None:
        super().__init__(sentence)
        self.report = report


def expire(
    site: SiteContext,
    origin: Origin,
    *,
    only_report: str | bool,
    number: str | int | None,
    scheduled: bool,
) -> ExpiryReport:
    """Remove what has been kept for long enough, and tell what was done and what comes next.

    Args:
        site: settings and ledger.
        origin: the DAG run.
        only_report: whether to remove nothing, record nothing and send nothing; a truth value, or one as text.
        number: how much may be removed although it is much or young; if it says nothing: as much as the settings let
            through.
        scheduled: whether the schedule started the DAG run, and no person.

    Raises:
        NotRemoved: something could not be removed; all else was. Or it is so much, or so young, that nothing was.
        ClocksDiffer: the ledger's clock and this host's differ; nothing was removed.
        ServiceUnavailable: an area or the ledger cannot be reached.
    """
    settings, ledger = site.settings, Ledger(site.settings)
    report = _Expiry(
        site,
        ledger,
        origin.dag_run_id,
        dry_run=truth("Dry run")(only_report),
        number=0 if says_nothing(number) else int(float(str(number))),
    ).run()
    for line in report.lines():
        log.info("%s", line)
    reported = report.is_worth_a_mail if scheduled else report.has_done_something
    if reported and not report.dry_run:
        mail = expiry_report(settings, report, dag_id=origin.dag_id, dag_run_id=origin.dag_run_id)
        ledger.outbox.queue_mail_without_run(origin.dag_id, origin.dag_run_id, mail)
    if report.held and not report.dry_run:
        asks = expiry_asks(settings, report, dag_id=origin.dag_id)
        # One for each list, whichever DAG run finds it.
        ledger.outbox.queue_mail_without_run(origin.dag_id, list_name(report.held), asks)
        raise NotRemoved(
            f"{len(report.held)} have expired and nothing was removed: {' '.join(report.why_held)} Look at the "
            f"list in the log; if it is right, trigger this DAG with Number of removals {len(report.held)}.",
            report,
        )
    if report.failed:
        raise NotRemoved(
            f"{len(report.failed)} that should have been removed could not be, all else was: "
            f"{' '.join(f'{thing.pipeline_run_id}: {thing.why}' for thing in report.failed[:3])}",
            report,
        )
    return report


def report_not_done(site: SiteContext, origin: Origin, error: SrdpError) -> None:
    """Queue a mail that says why nobody could look at everything that expires.

    Args:
        site: settings and ledger.
        origin: the DAG run.
        error: why.
    """
    mail = expiry_not_done(site.settings, cause=str(error), dag_id=origin.dag_id, dag_run_id=origin.dag_run_id)
    site.ledger.outbox.queue_mail_without_run(origin.dag_id, origin.dag_run_id, mail)


class _Expiry:
    """One look at everything that expires, and the removal of what has."""

    def __init__(
        self,
        site: SiteContext,
        ledger: Ledger,
        dag_run_id: str,
        *,
        dry_run: bool,
        number: int = 0,
    ) -> None:
        self._site = site
        self._settings = settings = site.settings
        self._ledger = ledger
        self._archive = ArchiveHook(settings)
        self._dag_run_id = dag_run_id
        self._dry_run = dry_run
        self._number = number
        self._begun: set[PipelineRunId] = set()
        # What is kept for users is as runs do: one directory a run, and hidden names while one is removed.
        cache = settings.measurement_set_cache
        self._cache = Areas(processing=cache, qa=cache, spool=cache)

    def run(self) -> ExpiryReport:
        """Remove, and return what to report."""
        settings, ledger = self._settings, self._ledger
        # Before the ledger is asked what they belong to: it knows of everything before there is a directory.
        found = {root: entries(root) for root in settings.areas.roots}
        cached_found = entries(self._cache.processing) if self._cache.processing.exists() else {}
        runs = ledger.runs.in_states(state for state in RunState if state is not RunState.CLEANED)
        cached = ledger.measurement_sets.kept()
        retention = read_retention(settings.retention, ledger.retention.in_force(), retention_kinds())
        self._days = retention.days
        self._now = self._ledgers_now()
        report = ExpiryReport(now=self._now, dry_run=self._dry_run, problems=retention.problems)
        things = [thing for run in runs if (thing := self._expiring_run(run)) is not None]
        things += [expiring_measurement_set(one) for one in cached]
        things.sort(key=lambda thing: (thing.expires_at, thing.pipeline_run_id, thing.kind))
        due = [thing for thing in things if thing.expires_at <= self._now]
        space = Space()
        if self._may_go(due, len(runs) + len(cached), report, space):
            self._remember(retention)
            for thing in due:
                self._expire(thing, report, space)
        report.coming = [self._coming(thing, space) for thing in things if self._now < thing.expires_at <= report.until]
        if not self._dry_run:
            report.removed = ledger.removals.expired_by(self._dag_run_id)
        report.unknown_entries = (*self._unknown_entries(found, runs), *self._unknown_in_cache(cached_found, cached))
        return report

    def _ledgers_now(self) -> datetime:
        before = datetime.now(UTC)
        now = self._ledger.now()
        largest = timedelta(minutes=self._settings.largest_clock_difference_minutes)
        check_clocks(now, before, datetime.now(UTC), largest)
        return now

    def _may_go(self, due: Sequence[Expiring], there: int, report: ExpiryReport, space: Space) -> bool:
        """Return whether what has expired may be removed without asking, or was asked for; reports why not."""
        going = [thing for thing in due if thing.pipeline_run_id not in self._begun and not self._is_needed(thing)]
        why = self._settings.expiry_brake.why_it_stops(going, there, self._now)
        if not why or len(going) <= self._number:
            return True
        report.held = [self._coming(thing, space) for thing in going]
        report.why_held = why
        return False

    def _is_needed(self, thing: Expiring) -> bool:
        try:
            return self._why_kept(thing) is not None
        except SrdpError:
            return False  # reported when its turn comes

    def _remember(self, retention: Retention) -> None:
        """Record what the file says, which counts from now on; not of a file that would remove too much."""
        before = self._ledger.retention.in_force()
        if not self._dry_run:
            for kind, days in retention.said.items():
                if before.get(kind) != days:
                    self._ledger.retention.set(kind, days)

    def _expiring_run(self, run: PipelineRun) -> Expiring | None:
        thing = expiring_run(run, self._days, retention_kinds())
        if (
            thing is not None
            and run.state is RunState.CLEANING
            and self._ledger.removals.began_to_expire(run.pipeline_run_id)
        ):
            # Nobody else is at it: what a task that was killed has begun is finished at once, and was let through then.
            self._begun.add(run.pipeline_run_id)
            return replace(thing, expires_at=run.state_since)
        return thing

    def _expire(self, thing: Expiring, report: ExpiryReport, space: Space) -> None:
        try:
            why_kept = self._why_kept(thing)
            if why_kept:
                report.kept.append(replace(thing, why=why_kept))
            elif self._dry_run:
                self._prove(thing)
                self._check_own_files(thing)
                report.removed.append(replace(thing, size_bytes=space.freed_by(self._places(thing))))
            else:
                # Not reckoned with those before it: their links are gone, or they could not be removed.
                thing = replace(thing, size_bytes=Space().freed_by(self._places(thing)))
                self._remove(thing)
        except OwnFilesNamed as error:
            report.kept.append(replace(thing, why=str(error)))
            report.names_own_files = True
        except (SrdpError, OSError) as error:
            failed = replace(thing, why=str(error))
            log.error("%s", failed.line)  # noqa: TRY400  a sentence, not a traceback
            report.failed.append(failed)
            if not self._dry_run:
                self._ledger.removals.record_not_expired(failed, self._dag_run_id)

    def _coming(self, thing: Expiring, space: Space) -> Expiring:
        try:
            return replace(thing, size_bytes=space.freed_by(self._places(thing)))
        except SrdpError:
            return thing  # reported when its day has come

    def _places(self, thing: Expiring) -> tuple[Path, ...]:
        areas = self._cache if thing.kind == CALIBRATED_MEASUREMENT_SETS else self._settings.areas
        return places_of_run(areas, thing.pipeline_run_id)

    def _why_kept(self, thing: Expiring) -> str | None:
        """Return why a run's directory is still needed although it has expired."""
        if thing.kind == CALIBRATED_MEASUREMENT_SETS:
            return None
        for rerun in self._ledger.runs.active():
            if rerun.former_run == thing.pipeline_run_id and rerun.state in TAKES_RAW_DATA:
                return f"Its rerun {rerun.pipeline_run_id} may take its raw data from it."
        run = self._ledger.runs.get(thing.pipeline_run_id)
        if run.state is RunState.REJECTED:
            return self._why_rejected_run_is_kept(run)
        return self._why_archived_run_is_kept(run) if run.state is RunState.ARCHIVED else None

    def _why_rejected_run_is_kept(self, run: PipelineRun) -> str | None:
        if not mark_is_due(self._ledger, run):
            return None
        return (
            f"{run.subject} is not marked {DO_NOT_CALIBRATE} in the archive, although it failed QA: trigger "
            f"{family_of(run.kind).fail_dag} with the run again."
        )

    def _why_archived_run_is_kept(self, run: PipelineRun) -> str | None:
        ingest = self._ledger.ingests.in_force(run.pipeline_run_id)
        if ingest is not None and not self._ledger.archived_files.are_proved(ingest):
            return (
                "Nothing of it was put into NGAS, because the setting SRDP_NGAS_INGEST was off: set it on and trigger "
                f"{family_of(run.kind).ingest_dag} with the run again."
            )
        due = self._ledger.verdicts.why_due(run.pipeline_run_id)
        return f"Not yet: {due}" if due else None

    def _prove(self, thing: Expiring) -> None:
        """Raise what a removal would be refused with because the archive does not have the run."""
        if thing.kind == CALIBRATED_MEASUREMENT_SETS:
            return
        run = self._ledger.runs.get(thing.pipeline_run_id)
        if run.state is RunState.ARCHIVED:
            prove_archived_run(self._site.of_run(run))

    def _check_own_files(self, thing: Expiring) -> None:
        run = self._ledger.runs.get(thing.pipeline_run_id)
        if thing.kind != CALIBRATED_MEASUREMENT_SETS and run.state is not RunState.CLEANING:
            check_own_files(self._site.of_run(run), record=not self._dry_run)

    def _remove(self, thing: Expiring) -> None:
        if thing.kind == CALIBRATED_MEASUREMENT_SETS:
            self._remove_measurement_set(thing)
        else:
            self._remove_run(thing)

    def _remove_run(self, thing: Expiring) -> None:
        run = self._ledger.runs.get(thing.pipeline_run_id)
        again = self._expiring_run(run)
        if again is None or again.expires_at > self._now:
            log.info("%s is %s meanwhile and is left alone.", run.pipeline_run_id, run.state)
            return
        self._check_own_files(thing)
        self._ledger.removals.record_expiring(thing, self._dag_run_id)
        remove_run(self._site.of_run(run))

    def _remove_measurement_set(self, thing: Expiring) -> None:
        """Remove what is kept of a run for users; killed anywhere, the next call continues."""
        run_id, root = thing.pipeline_run_id, self._cache.processing
        if Path(thing.subject).parent != root / run_id:
            raise Refused(
                f"{quoted(thing.subject, 300)} is not in the cache of the settings, {root / run_id}: nothing was "
                "removed; set SRDP_CACHE_AREA to where it is."
            )
        self._ledger.removals.record_expiring(thing, self._dag_run_id)
        # The archive first, which is not to name a path that is gone; and before the ledger forgets that it must.
        ingest = self._ledger.ingests.in_force(run_id)
        if ingest is not None:
            self._archive.forget_cached_measurement_set(result_locator(run_id, ingest.number))
        removal = remove_run_directories(self._cache, self._ledger.runs.get(run_id).marker)
        if removal.left:
            raise NotRemoved(f"{removal.left[0]}; {len(removal.left)} could not be removed.")
        self._ledger.measurement_sets.mark_removed(run_id)

    def _unknown_entries(self, found: Mapping[Path, Mapping[str, bool]], runs: Sequence[PipelineRun]) -> Iterator[str]:
        areas = self._settings.areas
        places = (*areas.roots, areas.spool, self._cache.processing)
        for root, there in found.items():
            here = [run for run in runs if root in areas.of_run(run.pipeline_run_id)]
            ours = {run.pipeline_run_id for run in here}
            removing = {run.pipeline_run_id for run in here if run.state is RunState.CLEANING}
            for name in unknown_entries(root, there, ours, removing, places):
                if os.path.lexists(root / name):
                    yield f"{quoted(root / name, 300)} {self._why_unknown(root, name)}."

    def _why_unknown(self, root: Path, name: str) -> str:
        try:
            run = self._ledger.runs.get(pipeline_run_id(name))
        except InvalidInput:
            return "belongs to no pipeline run that the ledger knows"
        if run.state is RunState.CLEANED:
            return "is there although the run's directory was removed"
        if root not in self._settings.areas.of_run(run.pipeline_run_id):
            return "has the name of a run that does not belong into this area"
        return "has the name of a run's directory and is none"

    def _unknown_in_cache(self, there: Mapping[str, bool], cached: Sequence[CachedMeasurementSet]) -> Iterator[str]:
        root = self._cache.processing
        ours = {one.pipeline_run_id for one in cached}
        for name in unknown_entries(root, there, ours, ours, ()):
            if os.path.lexists(root / name):
                yield f"{quoted(root / name, 300)} belongs to no measurement set that the ledger knows."
