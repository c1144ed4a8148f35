"""Giving runs to data analysts to review: the question and its answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.form_fields import said
from srdp.domain.runs.assignment import Assignment, checked_analyst
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import RunState
from srdp.families import family_of
from srdp.hooks.ledger import Ledger
from srdp.notifications.about_run import analysts, directory_of, kept_reviewer, weblog_of
from srdp.notifications.imaging_mails import assignment_mails
from srdp.services.context import Origin, RunContext

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """Who reviews a run.

    Attributes:
        data_analyst: the mail address of who gets it.
        assigned_by: who gives it.
        answer: distinguishes this answer from all others.
    """

    data_analyst: str
    assigned_by: str
    answer: str

    def as_json(self) -> dict[str, str]:
        """Return it as a task hands it on."""
        return asdict(self)


@dataclass(frozen=True)
class Asked:
    """A question to people.

    Attributes:
        needless: why it is not asked, as the end of a sentence; empty if it is.
        options: the answers to choose from.
        facts: what the page shows, as Markdown.
    """

    needless: str
    options: Sequence[str] = ()
    facts: str = ""


def ask_who_reviews(context: RunContext, origin: Origin, data_analyst: str | None) -> Answer | Asked:
    """Return the answer that the form gives; else record the question and return it.

    Args:
        context: the run.
        origin: the DAG run that asks.
        data_analyst: who gets the run, if the form says it.

    Raises:
        Refused: who is given is no data analyst of the settings.
        InvalidInput: runs of its kind are not assigned.
    """
    assign_dag(context.run)
    choices, chosen = analysts(context.settings, context.family), said(data_analyst)
    if chosen is not None:
        return Answer(checked_analyst(chosen, choices), origin.requested_by, origin.dag_run_id)
    ledger = Ledger(context.settings)
    needless = ledger.assignments.ask(context.run_id, dag_id=origin.dag_id, dag_run_id=origin.dag_run_id)
    return Asked(needless) if needless else Asked("", choices, _facts(context))


def assign(context: RunContext, origin: Origin, answer: Answer) -> Assignment:
    """Record who reviews a run, each answer once; that person is notified by mail, and so is the former reviewer.

    Args:
        context: the run.
        origin: the DAG run.
        answer: who reviews it.

    Raises:
        Refused: the run does not await its verdict any more, or who was chosen is no data analyst of the settings.
    """
    analyst = checked_analyst(answer.data_analyst, analysts(context.settings, context.family))
    assignment = _assign(context, origin, analyst, answer.assigned_by, answer.answer)
    log.info(
        "%s has %s, by %s, since %s",
        assignment.data_analyst, context.run_id, assignment.assigned_by, assignment.assigned_at,
    )  # fmt: skip
    return assignment


def keep_reviewer(context: RunContext, origin: Origin) -> bool:
    """Return whether nobody is to be asked; a rerun is assigned to who had the version that it repeats.

    Args:
        context: the run.
        origin: the DAG run.
    """
    ledger, run = Ledger(context.settings), context.run
    if run.state is not RunState.AWAITING_QA:
        log.info("%s is %s: nobody is asked who reviews it", run.pipeline_run_id, run.state)
        return True
    before = kept_reviewer(context.settings, ledger, run)
    if before is None:
        return False
    if not ledger.assignments.of_run(run.pipeline_run_id):
        _assign(
            context,
            origin,
            before.data_analyst,
            f"{before.assigned_by}, with {before.pipeline_run_id}, which it repeats",
            f"with {before.pipeline_run_id}",
        )
    log.info("%s stays with %s, who has %s", run.pipeline_run_id, before.data_analyst, before.pipeline_run_id)
    return True


def assign_dag(run: PipelineRun) -> str:
    """Return the DAG that asks who reviews a run.

    Args:
        run: the run.

    Raises:
        InvalidInput: runs of its kind are not assigned.
    """
    family = family_of(run.kind)
    if family.assign_dag is None:
        raise InvalidInput(
            f"{run.pipeline_run_id} is a {family.label} {family.action}: those are not assigned, every data analyst "
            "may give the verdict."
        )
    return family.assign_dag


def _assign(context: RunContext, origin: Origin, analyst: str, assigned_by: str, answer: str) -> Assignment:
    return Ledger(context.settings).assignments.assign(
        context.run_id,
        analyst,
        assigned_by=assigned_by,
        answer=answer,
        dag_id=origin.dag_id,
        dag_run_id=origin.dag_run_id,
        mails=partial(assignment_mails, context.settings, context.run),
    )


def _facts(context: RunContext) -> str:
    """Return what the page shows, as Markdown; nothing in it was written by people."""
    settings, run = context.settings, context.run
    weblog = weblog_of(settings, directory_of(settings, run))
    score = "none" if run.lowest_score is None else f"{run.lowest_score:.2f}"
    return "\n".join(
        [
            f"* {run.subject}, version {run.version}, project {run.project}",
            f"* lowest QA score: {score}",
            *([f"* [weblog]({weblog})"] if weblog else []),
            f"* [run directory]({settings.run_files_url.rstrip('/')}/{run.pipeline_run_id}/)",
        ]
    )
