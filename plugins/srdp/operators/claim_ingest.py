"""The beginning of an ingest: the verdict is checked, the run is proved to be fit for the archive, and claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.common.form_fields import said
from srdp.domain.runs.states import RunState, check_transition
from srdp.families import family_of
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator, asked_by
from srdp.operators.family_site import HookSite
from srdp.operators.ingest_step import check_family

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.qa.verdict import QaFlag, QaVerdict
    from srdp.domain.runs.ledger_records import Ingest, PipelineRun, SubmittedFile
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

_WORDS = ("qa_report", "qa_report_text", "qa_standard", "qa_analyst", "qa_score", "qa_comments")


class ClaimIngestOperator(PipelineRunOperator):
    """Checks everything that a verdict and an ingest need, and claims the ingest; what is refused changes nothing.

    When the verdict is given again, after a failure, the form needs nothing but the run and the same flag: then the
    notes of the first time count. Of a run that is archived, another verdict is recorded here; its files stay. If they
    are not in NGAS, because the setting ``ngas_ingest`` was off, and it is on now, the run is ingested once more.

    Args:
        pipeline_run_id: the run (templated).
        qa_flag: ``Pass``, ``Fail`` or ``Null`` (templated).
        qa_report: the path of the analyst's report on the shared file system (templated).
        qa_report_text: the report itself, instead (templated).
        qa_standard: by which standard; by default ``SRDP Pilot`` (templated).
        qa_analyst: for whom the verdict is given, if not for who triggered the DAG run (templated).
        qa_score: a number; by default 1 for a pass, 0 for a fail (templated).
        qa_comments: any text (templated).
        flag_template: the path of a flag template that is to be archived with the calibration (templated).
        flag_template_text: the template itself, instead (templated).

    Note:
        Of the templated arguments, an empty one and the text ``None`` say nothing.
    """

    collects_faults = True
    template_fields: Sequence[str] = ("pipeline_run_id", "qa_flag", *_WORDS, "flag_template", "flag_template_text")

    operator_extra_links = RUN_FILES_LINKS

    def __init__(
        self,
        *,
        pipeline_run_id: str,
        qa_flag: str,
        qa_report: str | None = None,
        qa_report_text: str | None = None,
        qa_standard: str | None = None,
        qa_analyst: str | None = None,
        qa_score: str | None = None,
        qa_comments: str | None = None,
        flag_template: str | None = None,
        flag_template_text: str | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(pipeline_run_id=pipeline_run_id, **kwargs)
        self.qa_flag = qa_flag
        self.qa_report = qa_report
        self.qa_report_text = qa_report_text
        self.qa_standard = qa_standard
        self.qa_analyst = qa_analyst
        self.qa_score = qa_score
        self.qa_comments = qa_comments
        self.flag_template = flag_template
        self.flag_template_text = flag_template_text

    def run_step(self, context: Context) -> str:
        """Check and claims; return the pipeline run ID."""
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = self._run(ledger)
        dag_run = context["dag_run"]
        check_family(run.pipeline_run_id, family_of(run.kind).ingest_dag, dag_run.dag_id)
        if run.state not in {RunState.INGESTING, RunState.ARCHIVED}:
            check_transition(run.pipeline_run_id, run.state, RunState.INGESTING)
        known = ledger.ingest(run.pipeline_run_id)
        once_more = settings.ngas_ingest and _is_archived_without_ngas(ledger, run, known)
        by = asked_by(context)
        report, verdict, template = self._given(settings, ledger, run, known, by)
        for warning in verdict.warnings:
            self.log.warning("%s", warning)
        contents = family_of(run.kind).contents
        kept = report if contents.report else None
        if not once_more:
            _check_given(ledger, run, known, [file for file in (template, kept) if file is not None])
        elif known is not None and known.verdict == verdict:
            template = template or _given_before(ledger, known, contents.template)
            kept = kept or _given_before(ledger, known, contents.report)
        if run.state is RunState.ARCHIVED and not once_more and known is not None and known.verdict != verdict:
            self._change(ledger, run, known, verdict, by, context)
            return run.pipeline_run_id
        facts: dict[str, Any] = {}
        if once_more or run.state in {RunState.AWAITING_QA, RunState.INGEST_FAILED}:
            _check_archivable(settings, ledger, run, report)
            facts = self._template_facts(settings, run, template)
        ingest = ledger.claim_ingest(
            run.pipeline_run_id,
            verdict,
            dag_id=dag_run.dag_id,
            dag_run_id=dag_run.run_id,
            requested_by=by,
            flag_template=template,
            template_facts=facts,
            report=kept,
            once_more=once_more,
        )
        self.log.info(
            "%s has the verdict %s of %s; ingest %d, try %d",
            run.pipeline_run_id, verdict.flag, ingest.given_by, ingest.number, ingest.tries,
        )  # fmt: skip
        return run.pipeline_run_id

    def _run(self, ledger: VerdictLedger) -> PipelineRun:
        """Return the run; if there is none, nothing more can be checked than the form itself."""
        from srdp.domain.runs.identifiers import pipeline_run_id

        try:
            return ledger.run(pipeline_run_id(self.pipeline_run_id))
        except InvalidInput as error:
            self.faults.refuse()
            raise error from None

    def _given(
        self, settings: Settings, ledger: VerdictLedger, run: PipelineRun, known: Ingest | None, by: str
    ) -> tuple[SubmittedFile | None, QaVerdict, SubmittedFile | None]:
        """Return report, verdict and flag template as they were given; what is wrong with any of them is told at once.

        Raises:
            InvalidInput: something is wrong with the form or what it names.
        """
        from srdp.domain.qa.verdict import qa_flag
        from srdp.hooks.assignment_ledger import AssignmentLedger

        report = template = None
        with self.faults.collected():
            template = self._flag_template(settings, ledger, run)
        with self.faults.collected():
            report = self._report(settings)
        people = {"given_by": by, "assigned_to": AssignmentLedger(settings).reviewer_other_than(run, by)}
        with self.faults.together():
            verdict = self._verdict(qa_flag(self.qa_flag), known, report, people)
        return report, verdict, template

    def _report(self, settings: Settings) -> SubmittedFile | None:
        from srdp.domain.analyst_files.submitted import QA_REPORT, given_file

        roots = settings.folders_of_submitted_files()
        return given_file(QA_REPORT, path=said(self.qa_report), text=said(self.qa_report_text), roots=roots)

    def _verdict(
        self, flag: QaFlag, known: Ingest | None, report: SubmittedFile | None, people: Mapping[str, str]
    ) -> QaVerdict:
        """Return the verdict that was given; the recorded one if it is only repeated."""
        from srdp.domain.analyst_files.submitted import PASTED
        from srdp.domain.qa.report import parse_qa_report
        from srdp.domain.qa.verdict import qa_verdict

        words = {name: said(getattr(self, name)) for name in _WORDS}
        if known is not None and known.verdict.flag is flag and not any(words.values()):
            return known.verdict
        said_in_report = None
        if report is not None:
            where = f"The pasted {report.name}" if report.source == PASTED else report.source
            said_in_report = parse_qa_report(_text(report), where)
        return qa_verdict(
            flag,
            said_in_report,
            standard=words["qa_standard"],
            analyst=words["qa_analyst"],
            score=words["qa_score"],
            comments=words["qa_comments"],
            former=known.verdict if known is not None else None,
            **people,
        )

    def _flag_template(self, settings: Settings, ledger: VerdictLedger, run: PipelineRun) -> SubmittedFile | None:
        from srdp.domain.analyst_files.flag_commands import lint_flag_commands
        from srdp.domain.analyst_files.submitted import PASTED, given_file

        template = family_of(run.kind).inputs.flag_template
        roots = settings.folders_of_submitted_files()
        given = given_file(template.name, path=self.flag_template, text=self.flag_template_text, roots=roots)
        if given is None:
            return None
        report = lint_flag_commands(
            given.content,
            file=template.name if given.source == PASTED else given.source,
            observed=family_of(run.kind).observed(HookSite(settings, ledger, self.log), run),
            template=template,
        )
        for warning in report.warnings:
            self.log.warning("%s", warning.sentence)
        report.refuse()
        return given

    def _change(
        self, ledger: VerdictLedger, run: PipelineRun, known: Ingest, verdict: QaVerdict, by: str, context: Context
    ) -> None:
        run_id = run.pipeline_run_id
        if _is_archived_without_ngas(ledger, run, known):
            raise Refused(
                f"The QA flag of {run_id} cannot be changed: nothing of it was put into NGAS, because the setting "
                "SRDP_NGAS_INGEST is off; set it on and give the verdict again."
            )
        dag_run = context["dag_run"]
        ledger.change_verdict(run_id, verdict, dag_id=dag_run.dag_id, dag_run_id=dag_run.run_id, by=by)
        self.log.info("%s is archived; its QA flag was %s and is %s.", run_id, known.verdict.flag, verdict.flag)

    def _template_facts(self, settings: Settings, run: PipelineRun, template: SubmittedFile | None) -> dict[str, Any]:
        from srdp.domain.archiving.casa_input import used_by_casa
        from srdp.domain.runs.pipeline_run import find_run_directory

        if template is None:
            return {}
        directory = find_run_directory(settings.areas, run.pipeline_run_id)
        used = used_by_casa(directory, family_of(run.kind).contents, run.subject, template.content)
        note = "the one that CASA read" if used else "not used by this run"
        self.log.info("The flag template that was given is %s.", note)
        return {"source": template.source, "sha256": template.sha256, "used": used, "note": note}


def _is_archived_without_ngas(ledger: VerdictLedger, run: PipelineRun, known: Ingest | None) -> bool:
    return run.state is RunState.ARCHIVED and known is not None and not ledger.is_in_ngas(known)


def _given_before(ledger: VerdictLedger, known: Ingest, name: str | None) -> SubmittedFile | None:
    """Return a file that was given with a verdict, under the name that people use."""
    from dataclasses import replace

    from srdp.domain.archiving.casa_input import given_record

    if name is None:
        return None
    file = ledger.submitted_files(known.pipeline_run_id).get(given_record(name, known.number))
    return file and replace(file, name=name)


def _text(given: SubmittedFile) -> str:
    try:
        return given.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = given.content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{given.source}, line {line}, is not UTF-8 text: save it as UTF-8.") from None


def _check_given(ledger: VerdictLedger, run: PipelineRun, known: Ingest | None, given: Sequence[SubmittedFile]) -> None:
    """Refuses files that are archived with a run if others may be in NGAS already."""
    from srdp.domain.archiving.casa_input import given_record

    if known is None or not given:
        return
    recorded = ledger.submitted_files(run.pipeline_run_id)
    others = [file for file in given if not _is_same(recorded.get(given_record(file.name, known.number)), file)]
    if others and (run.state is RunState.ARCHIVED or any(file.sent_at for file in ledger.files_of_ingest(known))):
        raise Refused(
            f"No other {others[0].name} can be archived with {run.pipeline_run_id}: its files may be in NGAS already. "
            "Leave the field empty" + ("." if run.state is RunState.ARCHIVED else ", or withdraw the verdict first.")
        )


def _is_same(recorded: SubmittedFile | None, given: SubmittedFile) -> bool:
    return recorded is not None and recorded.content == given.content


def _check_archivable(
    settings: Settings, ledger: VerdictLedger, run: PipelineRun, report: SubmittedFile | None
) -> None:
    from srdp.domain.archiving.casa_input import check_what_casa_read
    from srdp.domain.archiving.ingest import check_archivable
    from srdp.domain.runs.pipeline_run import find_run_directory, qa_directory
    from srdp.hooks.ngas import NgasHook

    run_id = run.pipeline_run_id
    directory = find_run_directory(settings.areas, run_id)
    # One that was archived before, without NGAS, was moved back.
    was_archived = any(ingest.committed_at for ingest in ledger.ingests(run_id))
    if directory != qa_directory(settings.areas, run_id) and not was_archived:
        raise Refused(
            f"{run_id} is not in the QA area but at {directory.root}: move its directory to "
            f"{settings.areas.of_run(run_id)[1]}, where a run waits for its verdict."
        )
    casa = next(reversed(ledger.casa_attempts(run_id)), None)
    started_at = (casa and casa.started_at) or run.created_at
    check_archivable(
        directory,
        family_of(run.kind).contents,
        run.subject,
        started_at,
        science_patterns=family_of(run.kind).science_patterns(settings) or (),
    )
    check_what_casa_read(
        directory, family_of(run.kind).contents, family_of(run.kind).inputs, run, ledger.submitted_files(run_id)
    )
    _check_overwritten(ledger, run, directory, report)
    if settings.ngas_ingest:
        NgasHook(settings.ngas_connection).receiving_server()


def _check_overwritten(
    ledger: VerdictLedger, run: PipelineRun, directory: RunDirectory, report: SubmittedFile | None
) -> None:
    """Refuses to write over notes that a person has put into the weblog.

    What an ingest writes there follows from its claim, and so is known wherever the ingest was killed.
    """
    from srdp.domain.archiving.casa_input import given_record
    from srdp.domain.casa.weblog import QA_NOTES, check_overwritten
    from srdp.domain.qa.notes import render_html

    name = family_of(run.kind).contents.report
    recorded = ledger.submitted_files(run.pipeline_run_id)
    given = [] if report is None else [report.content]
    notes, reports = list(given), list(given)
    for ingest in ledger.ingests(run.pipeline_run_id):
        former = None if name is None else recorded.get(given_record(name, ingest.number))
        notes.append(render_html(ingest.verdict, when=ingest.claimed_at, report=name if former else None).encode())
        reports += [former.content] if former else []
    check_overwritten(directory, {QA_NOTES: notes} if name is None else {QA_NOTES: notes, name: reports})
