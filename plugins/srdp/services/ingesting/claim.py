"""The beginning of an ingest: the verdict is checked, the run is proved to be fit for the archive, and claimed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srdp.domain.analyst_files.flag_commands import lint_flag_commands
from srdp.domain.analyst_files.submitted import PASTED, QA_REPORT, submitted_file
from srdp.domain.archiving.casa_input import check_what_casa_read, submitted_record, used_by_casa
from srdp.domain.archiving.ingest import check_archivable
from srdp.domain.casa.weblog import QA_NOTES, check_overwritten
from srdp.domain.common.errors import Faults, InvalidInput, Refused
from srdp.domain.common.form_fields import said
from srdp.domain.qa.notes import render_html
from srdp.domain.qa.report import parse_qa_report
from srdp.domain.qa.verdict import QaFlag, QaVerdict, qa_flag, qa_verdict
from srdp.domain.runs.ledger_records import Ingest, SubmittedFile
from srdp.domain.runs.pipeline_run import RunDirectory, qa_directory
from srdp.domain.runs.states import RunState, check_transition
from srdp.hooks.ledger import Ledger
from srdp.hooks.ngas import NgasHook
from srdp.services.context import Origin, RunContext, check_dag
from srdp.services.processing.family_site import HookSite
from srdp.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerdictForm:
    """What the form says of a verdict; an empty field or ``None`` says nothing.

    Attributes:
        qa_flag: ``Pass``, ``Fail`` or ``Null``.
        words: the other fields of the verdict, by their names: ``qa_report`` and ``qa_report_text`` (the path of the
            analyst's report, or the report itself), ``qa_standard``, ``qa_analyst``, ``qa_score``, ``qa_comments``.
        flag_template: the path of a flag template that is to be archived with the calibration.
        flag_template_text: the template itself, instead.
    """

    qa_flag: str
    words: Mapping[str, str | None]
    flag_template: str | None = None
    flag_template_text: str | None = None

    def said(self, name: str) -> str | None:
        """Return what a field of ``words`` says; None if nothing."""
        return said(self.words[name])


def claim_ingest(context: RunContext, origin: Origin, form: VerdictForm, faults: Faults) -> None:
    """Check everything that a verdict and an ingest need, and claim the ingest; what is refused changes nothing.

    Args:
        context: the run.
        origin: who gives the verdict.
        form: the verdict.
        faults: what is known to be wrong with the form; it is told with what is found here.

    Raises:
        InvalidInput: something is wrong with the form or what it names.
        Refused: the run's state does not allow it, the run is not fit for the archive, or the DAG is for others.
        ServiceUnavailable: the archive, NGAS, an area or the ledger cannot be reached.
    """
    ledger, run = context.ledger, context.run
    check_dag(context.run_id, context.family.ingest_dag, origin.dag_id)
    if run.state not in {RunState.INGESTING, RunState.ARCHIVED}:
        check_transition(run.pipeline_run_id, run.state, RunState.INGESTING)
    known = ledger.ingests.in_force(run.pipeline_run_id)
    once_more = context.settings.ngas_ingest and _is_archived_without_ngas(context, known)
    report, verdict, template = _given(context, form, known, origin.requested_by, faults)
    for warning in verdict.warnings:
        log.warning("%s", warning)
    contents = context.family.contents
    kept = report if contents.report else None
    if not once_more:
        _check_given(context, known, [file for file in (template, kept) if file is not None])
    elif known is not None and known.verdict == verdict:
        template = template or _submitted_before(ledger, known, contents.template)
        kept = kept or _submitted_before(ledger, known, contents.report)
    if run.state is RunState.ARCHIVED and not once_more and known is not None and known.verdict != verdict:
        _change(context, known, verdict, origin)
        return
    facts: dict[str, Any] = {}
    if once_more or run.state in {RunState.AWAITING_QA, RunState.INGEST_FAILED}:
        _check_archivable(context, report)
        facts = _template_facts(context, template)
    ingest = ledger.ingests.claim(
        run.pipeline_run_id,
        verdict,
        dag_id=origin.dag_id,
        dag_run_id=origin.dag_run_id,
        requested_by=origin.requested_by,
        flag_template=template,
        template_facts=facts,
        report=kept,
        once_more=once_more,
    )
    log.info(
        "%s has the verdict %s of %s; ingest %d, try %d",
        run.pipeline_run_id, verdict.flag, ingest.given_by, ingest.number, ingest.tries,
    )  # fmt: skip


def _given(
    context: RunContext, form: VerdictForm, known: Ingest | None, by: str, faults: Faults
) -> tuple[SubmittedFile | None, QaVerdict, SubmittedFile | None]:
    """Return report, verdict and flag template as they were given; report all their problems at once.

    Raises:
        InvalidInput: something is wrong with the form or what it names.
    """
    report = template = None
    with faults.collected():
        template = _flag_template(context, form)
    with faults.collected():
        report = _report(context.settings, form)
    people = {"given_by": by, "assigned_to": Ledger(context.settings).assignments.reviewer_other_than(context.run, by)}
    with faults.together():
        verdict = _verdict(form, qa_flag(form.qa_flag), known, report, people)
    return report, verdict, template


def _report(settings: Settings, form: VerdictForm) -> SubmittedFile | None:
    roots = settings.folders_of_submitted_files()
    return submitted_file(QA_REPORT, path=form.said("qa_report"), text=form.said("qa_report_text"), roots=roots)


def _verdict(
    form: VerdictForm, flag: QaFlag, known: Ingest | None, report: SubmittedFile | None, people: Mapping[str, str]
) -> QaVerdict:
    """Return the verdict that was given; the recorded one if it is only repeated."""
    words = {name: said(word) for name, word in form.words.items()}
    if known is not None and known.verdict.flag is flag and not any(words.values()):
        return known.verdict
    given_in_report = None
    if report is not None:
        where = f"The pasted {report.name}" if report.source == PASTED else report.source
        given_in_report = parse_qa_report(_text(report), where)
    return qa_verdict(
        flag,
        given_in_report,
        standard=words["qa_standard"],
        analyst=words["qa_analyst"],
        score=words["qa_score"],
        comments=words["qa_comments"],
        former=known.verdict if known is not None else None,
        **people,
    )


def _flag_template(context: RunContext, form: VerdictForm) -> SubmittedFile | None:
    settings, run = context.settings, context.run
    template = context.family.inputs.flag_template
    roots = settings.folders_of_submitted_files()
    given = submitted_file(template.name, path=form.flag_template, text=form.flag_template_text, roots=roots)
    if given is None:
        return None
    report = lint_flag_commands(
        given.content,
        file=template.name if given.source == PASTED else given.source,
        observed=context.family.observed(HookSite(context), run),
        template=template,
    )
    for warning in report.warnings:
        log.warning("%s", warning.sentence)
    report.refuse()
    return given


def _change(context: RunContext, known: Ingest, verdict: QaVerdict, origin: Origin) -> None:
    run_id = context.run_id
    if _is_archived_without_ngas(context, known):
        raise Refused(
            f"The QA flag of {run_id} cannot be changed: nothing of it was put into NGAS, because the setting "
            "SRDP_NGAS_INGEST is off; set it on and give the verdict again."
        )
    context.ledger.verdicts.change(
        run_id, verdict, dag_id=origin.dag_id, dag_run_id=origin.dag_run_id, by=origin.requested_by
    )
    log.info("%s is archived; its QA flag was %s and is %s.", run_id, known.verdict.flag, verdict.flag)


def _template_facts(context: RunContext, template: SubmittedFile | None) -> dict[str, Any]:
    if template is None:
        return {}
    run = context.run
    used = used_by_casa(context.directory(), context.family.contents, run.subject, template.content)
    note = "the one that CASA read" if used else "not used by this run"
    log.info("The flag template that was given is %s.", note)
    return {"source": template.source, "sha256": template.sha256, "used": used, "note": note}


def _is_archived_without_ngas(context: RunContext, known: Ingest | None) -> bool:
    return (
        context.run.state is RunState.ARCHIVED
        and known is not None
        and not context.ledger.archived_files.are_proved(known)
    )


def _submitted_before(ledger: Ledger, known: Ingest, name: str | None) -> SubmittedFile | None:
    """Return a file that was given with a verdict, under the name that people use."""
    if name is None:
        return None
    file = ledger.submitted_files.of_run(known.pipeline_run_id).get(submitted_record(name, known.number))
    return file and replace(file, name=name)


def _text(given: SubmittedFile) -> str:
    try:
        return given.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = given.content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{given.source}, line {line}, is not UTF-8 text: save it as UTF-8.") from None


def _check_given(context: RunContext, known: Ingest | None, given: Sequence[SubmittedFile]) -> None:
    """Refuse files that are archived with a run if others may be in NGAS already."""
    if known is None or not given:
        return
    ledger, run = context.ledger, context.run
    recorded = ledger.submitted_files.of_run(run.pipeline_run_id)
    others = [file for file in given if not _is_same(recorded.get(submitted_record(file.name, known.number)), file)]
    if others and (
        run.state is RunState.ARCHIVED or any(file.sent_at for file in ledger.archived_files.of_ingest(known))
    ):
        raise Refused(
            f"No other {others[0].name} can be archived with {run.pipeline_run_id}: its files may be in NGAS already. "
            "Leave the field empty" + ("." if run.state is RunState.ARCHIVED else ", or withdraw the verdict first.")
        )


def _is_same(recorded: SubmittedFile | None, given: SubmittedFile) -> bool:
    return recorded is not None and recorded.content == given.content


def _check_archivable(context: RunContext, report: SubmittedFile | None) -> None:
    settings, ledger, run, run_id = context.settings, context.ledger, context.run, context.run_id
    directory = context.directory()
    # One that was archived before, without NGAS, was moved back.
    was_archived = any(ingest.committed_at for ingest in ledger.ingests.of_run(run_id))
    if directory != qa_directory(settings.areas, run_id) and not was_archived:
        raise Refused(
            f"{run_id} is not in the QA area but at {directory.root}: move its directory to "
            f"{settings.areas.of_run(run_id)[1]}, where a run waits for its verdict."
        )
    casa = context.last_casa_attempt()
    started_at = (casa and casa.started_at) or run.created_at
    check_archivable(
        directory,
        context.family.contents,
        run.subject,
        started_at,
        science_patterns=context.family.science_patterns(settings) or (),
    )
    check_what_casa_read(
        directory, context.family.contents, context.family.inputs, run, ledger.submitted_files.of_run(run_id)
    )
    _check_overwritten(context, directory, report)
    if settings.ngas_ingest:
        NgasHook(settings.ngas_connection).receiving_server()


def _check_overwritten(context: RunContext, directory: RunDirectory, report: SubmittedFile | None) -> None:
    """Refuse to write over notes that a person has put into the weblog.

    What an ingest writes there follows from its claim, and so is known wherever the ingest was killed.
    """
    ledger, run = context.ledger, context.run
    name = context.family.contents.report
    recorded = ledger.submitted_files.of_run(run.pipeline_run_id)
    given = [] if report is None else [report.content]
    notes, reports = list(given), list(given)
    for ingest in ledger.ingests.of_run(run.pipeline_run_id):
        former = None if name is None else recorded.get(submitted_record(name, ingest.number))
        notes.append(render_html(ingest.verdict, when=ingest.claimed_at, report=name if former else None).encode())
        reports += [former.content] if former else []
    check_overwritten(directory, {QA_NOTES: notes} if name is None else {QA_NOTES: notes, name: reports})
