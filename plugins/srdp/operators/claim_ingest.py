"""The beginning of an ingest: the verdict is checked, the run is proved to be fit for the archive, and claimed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from srdp.domain.errors import InvalidInput, Refused
from srdp.domain.states import RunState, check_transition
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator, asked_by

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from srdp.domain.ledger_records import GivenFile, Ingest, PipelineRun
    from srdp.domain.pipeline_run import RunDirectory
    from srdp.domain.qa_notes import QaFlag, QaVerdict
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

_REPORT: Final = "qa_report.txt"
_WORDS = ("qa_report", "qa_report_text", "qa_standard", "qa_analyst", "qa_score", "qa_comments")


class ClaimIngestOperator(PipelineRunOperator):
    """Checks everything that a verdict and an ingest need, and claims the ingest; what is refused changes nothing.

    When the verdict is given again, after a failure, the form needs nothing but the run and the same flag: then the
    notes of the first time count. Of a run that is archived, another verdict is recorded here; its files stay.

    Args:
        pipeline_run_id: the run (templated).
        qa_flag: ``Pass``, ``Fail`` or ``Null`` (templated).
        qa_report: the path of the analyst's report on the shared file system (templated).
        qa_report_text: the report itself, instead (templated).
        qa_standard: by which standard; by default ``SRDP Pilot`` (templated).
        qa_analyst: who gives the verdict (templated).
        qa_score: a number; by default 1 for a pass, 0 for a fail (templated).
        qa_comments: any text (templated).
        flag_template: the path of a flag template that is to be archived with the calibration (templated).
        flag_template_text: the template itself, instead (templated).

    Note:
        Of the templated arguments, an empty one and the text ``None`` say nothing.
    """

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
        """Checks and claims; returns the pipeline run ID."""
        from srdp.domain.identifiers import pipeline_run_id
        from srdp.domain.qa_notes import qa_flag
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        if run.state not in {RunState.INGESTING, RunState.ARCHIVED}:
            check_transition(run.pipeline_run_id, run.state, RunState.INGESTING)
        known = ledger.ingest(run.pipeline_run_id)
        verdict = self._verdict(settings, qa_flag(self.qa_flag), known)
        template = self._flag_template(settings, run)
        _check_template(ledger, run, known, template)
        dag_run = context["dag_run"]
        by = asked_by(context)
        if run.state is RunState.ARCHIVED and known is not None and known.verdict != verdict:
            self._change(ledger, known, verdict, by=by)
            return run.pipeline_run_id
        if run.state in {RunState.AWAITING_QA, RunState.INGEST_FAILED}:
            _check_archivable(settings, ledger, run)
        ingest = ledger.claim_ingest(
            run.pipeline_run_id,
            verdict,
            dag_id=dag_run.dag_id,
            dag_run_id=dag_run.run_id,
            requested_by=by,
            flag_template=template,
            template_facts=self._template_facts(settings, run, template),
        )
        self.log.info(
            "%s has the verdict %s of %s; ingest %d, try %d",
            run.pipeline_run_id, verdict.flag, ingest.requested_by, ingest.number, ingest.tries,
        )  # fmt: skip
        return run.pipeline_run_id

    def _verdict(self, settings: Settings, flag: QaFlag, known: Ingest | None) -> QaVerdict:
        """Returns the verdict that was given; the recorded one if it is only repeated."""
        from srdp.domain.given_files import given_file, said
        from srdp.domain.qa_notes import parse_qa_report, qa_verdict

        words = {name: said(getattr(self, name)) for name in _WORDS}
        if known is not None and known.verdict.flag is flag and not any(words.values()):
            return known.verdict
        given = given_file(_REPORT, path=words["qa_report"], text=words["qa_report_text"], roots=_roots(settings))
        return qa_verdict(
            flag,
            None if given is None else parse_qa_report(_text(given), given.source),
            standard=words["qa_standard"],
            analyst=words["qa_analyst"],
            score=words["qa_score"],
            comments=words["qa_comments"],
        )

    def _flag_template(self, settings: Settings, run: PipelineRun) -> GivenFile | None:
        from srdp.domain.flag_commands import lint_flag_commands
        from srdp.domain.given_files import FLAG_TEMPLATE, PASTED, given_file
        from srdp.domain.selections import Observed
        from srdp.hooks.archive import ArchiveHook

        given = given_file(FLAG_TEMPLATE, path=self.flag_template, text=self.flag_template_text, roots=_roots(settings))
        if given is None:
            return None
        block = ArchiveHook(settings).execution_block(run.subject)
        report = lint_flag_commands(
            given.content,
            file=FLAG_TEMPLATE if given.source == PASTED else given.source,
            observed=Observed(start=block.observed_start, end=block.observed_end),
        )
        for warning in report.warnings:
            self.log.warning("%s", warning.sentence)
        report.refuse()
        return given

    def _change(self, ledger: VerdictLedger, known: Ingest, verdict: QaVerdict, *, by: str) -> None:
        run_id = known.pipeline_run_id
        files = ledger.files_of_ingest(known)
        if not files or any(file.proved_at is None for file in files):
            raise Refused(
                f"The QA flag of {run_id} cannot be changed: nothing of it was put into NGAS, because the setting "
                "SRDP_NGAS_INGEST was off; rerun it, and give the verdict on the rerun."
            )
        ledger.change_verdict(run_id, verdict, by=by)
        self.log.info("%s is archived; its QA flag was %s and is %s.", run_id, known.verdict.flag, verdict.flag)

    def _template_facts(self, settings: Settings, run: PipelineRun, template: GivenFile | None) -> dict[str, Any]:
        from srdp.domain.identifiers import execution_block_name
        from srdp.domain.ingest import used_by_casa
        from srdp.domain.pipeline_run import find_run_directory

        if template is None or run.state is RunState.ARCHIVED:
            return {}
        directory = find_run_directory(settings.areas, run.pipeline_run_id)
        used = used_by_casa(directory, execution_block_name(run.subject), template.content)
        note = "the one that CASA read" if used else "not used by this run"
        self.log.info("The flag template that was given is %s.", note)
        return {"source": template.source, "sha256": template.sha256, "used": used, "note": note}


def _roots(settings: Settings) -> Sequence[Path]:
    """Returns the folders from which files are taken by path."""
    return (settings.processing_area, settings.qa_area, *settings.analyst_files)


def _text(given: GivenFile) -> str:
    try:
        return given.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = given.content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{given.source}, line {line}, is not UTF-8 text: save it as UTF-8.") from None


def _check_template(ledger: VerdictLedger, run: PipelineRun, known: Ingest | None, template: GivenFile | None) -> None:
    """Refuses another flag template than the one that may be in NGAS already."""
    from srdp.domain.ingest import given_template_record

    if template is None or known is None:
        return
    recorded = ledger.given_files(run.pipeline_run_id).get(given_template_record(known.number))
    if recorded is not None and recorded.content == template.content:
        return
    if run.state is RunState.ARCHIVED or any(file.sent_at for file in ledger.files_of_ingest(known)):
        raise Refused(
            f"No other flag template can be archived with {run.pipeline_run_id}: its files may be in NGAS already. "
            "Leave the field empty" + ("." if run.state is RunState.ARCHIVED else ", or withdraw the verdict first.")
        )


def _check_archivable(settings: Settings, ledger: VerdictLedger, run: PipelineRun) -> None:
    from srdp.domain.identifiers import execution_block_name
    from srdp.domain.ingest import check_archivable
    from srdp.domain.pipeline_run import find_run_directory, qa_directory
    from srdp.hooks.ngas import NgasHook

    run_id = run.pipeline_run_id
    directory = find_run_directory(settings.areas, run_id)
    if directory != qa_directory(settings.areas, run_id):
        raise Refused(
            f"{run_id} is not in the QA area but at {directory.root}: move its directory to {settings.qa_area}, where "
            "a run waits for its verdict."
        )
    casa = next(reversed(ledger.casa_attempts(run_id)), None)
    started_at = (casa and casa.started_at) or run.created_at
    check_archivable(directory, execution_block_name(run.subject), started_at)
    _check_what_casa_read(ledger, run, directory)
    if settings.ngas_ingest:
        NgasHook(settings.ngas_connection).receiving_server()


def _check_what_casa_read(ledger: VerdictLedger, run: PipelineRun, directory: RunDirectory) -> None:
    """Refuses to archive files as those that CASA read which somebody has edited since."""
    from srdp.domain.given_files import FLAG_TEMPLATE
    from srdp.domain.identifiers import execution_block_name
    from srdp.domain.ppr import sha256_of
    from srdp.domain.products import flag_template

    read = {directory.processing_request: run.ppr_sha256}
    template = flag_template(directory, execution_block_name(run.subject))
    recorded = ledger.given_files(run.pipeline_run_id).get(FLAG_TEMPLATE)
    if template is not None and recorded is not None:
        read[template] = recorded.sha256
    for path, sha256 in read.items():
        if sha256 is not None and not (path.is_file() and sha256_of(path) == sha256):
            raise Refused(
                f"{run.pipeline_run_id} is not ingested: {path} was edited after CASA had read it, or removed "
                f"(recorded SHA-256 {sha256[:12]}...); rerun it with the edited file, or put the former one back."
            )
