"""What a step works with: settings, ledger and run, read and checked once, when the step begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import srdp.settings
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id
from srdp.domain.runs.ledger_records import CasaAttempt, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory, find_run_directory
from srdp.domain.runs.states import RunState, remedy_for
from srdp.families import Family, family_of
from srdp.hooks.ledger import Ledger
from srdp.settings import Settings


@dataclass(frozen=True)
class Origin:
    """Where a request comes from.

    Attributes:
        dag_id: the DAG.
        dag_run_id: the DAG run.
        requested_by: who asked for it: a person's login, or in words how the DAG run was triggered.
    """

    dag_id: str
    dag_run_id: str
    requested_by: str

    @property
    def dag_run(self) -> tuple[str, str]:
        """The DAG's id and the DAG run id."""
        return self.dag_id, self.dag_run_id


@dataclass(frozen=True)
class SiteContext:
    """What a step works with that is about no run, or about many.

    Attributes:
        settings: the settings of this process.
        ledger: the ledger.
    """

    settings: Settings
    ledger: Ledger

    def of_run(self, run: PipelineRun) -> RunContext:
        """Return the context of a run.

        Args:
            run: the run, read just now.
        """
        return RunContext(self.settings, self.ledger, run)


@dataclass(frozen=True)
class RunContext(SiteContext):
    """What a step of one run works with.

    Attributes:
        run: the run, read just now.
    """

    run: PipelineRun

    @property
    def run_id(self) -> PipelineRunId:
        """The pipeline run ID."""
        return self.run.pipeline_run_id

    @property
    def family(self) -> Family:
        """The run's family."""
        return family_of(self.run.kind)

    def read_again(self) -> Self:
        """Return the context with the run as the ledger has it now."""
        return replace(self, run=self.ledger.runs.get(self.run_id))

    def directory(self) -> RunDirectory:
        """Return the run's directory, at its present place.

        Raises:
            RunDirectoryMissing: it is in neither area.
        """
        return find_run_directory(self.settings.areas, self.run_id)

    def last_casa_attempt(self) -> CasaAttempt | None:
        """Return the run's last start of CASA; None if there was none."""
        return next(reversed(self.ledger.casa.of_run(self.run_id)), None)

    def runs_of_request(self) -> list[PipelineRun]:
        """Return all runs of the same request, by version."""
        return self.ledger.runs.of_request(self.run.kind, self.run.subject, self.run.request_digest)


def site_context(*, retry_seconds: float | None = None) -> SiteContext:
    """Return what a step works with that is about no run, or about many.

    Args:
        retry_seconds: for how long a ledger that is away is waited for; by default as the ledger does.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    settings = srdp.settings.load_settings()
    ledger = Ledger(settings) if retry_seconds is None else Ledger(settings, retry_seconds=retry_seconds)
    return SiteContext(settings, ledger)


def run_context(run_id: str) -> RunContext:
    """Return what a step of one run works with.

    Args:
        run_id: the pipeline run ID, as somebody wrote it.

    Raises:
        InvalidInput: it is no pipeline run ID, or the ledger has no such run.
        SettingsError: a setting is missing or wrong.
        ServiceUnavailable: the ledger cannot be reached.
    """
    site = site_context()
    return site.of_run(site.ledger.runs.get(pipeline_run_id(run_id)))


def processing_context(run_id: str, otherwise: str) -> RunContext:
    """Return what a step works with that works in the processing area; it may be cleared long after its run has ended.

    Args:
        run_id: the pipeline run ID, as somebody wrote it.
        otherwise: what is not done else, as the beginning of a sentence, for example ``CASA is not run``.

    Raises:
        Refused: the run is not being processed.
    """
    context = run_context(run_id)
    run = context.run
    if run.state is not RunState.PROCESSING:
        raise Refused(
            f"{otherwise} for {run.pipeline_run_id}: the run is {run.state}, not processing; {remedy_for(run.state)}."
        )
    return context


def check_dag(run_id: PipelineRunId, wanted: str, dag_id: str) -> None:
    """Let a run pass that a DAG is for.

    Args:
        run_id: the run.
        wanted: the DAG that is for runs of its family.
        dag_id: the DAG.

    Raises:
        Refused: the run is of another family.
    """
    if dag_id != wanted:
        raise Refused(f"{run_id} is not for {quoted(dag_id)}: trigger {wanted} with it.")
