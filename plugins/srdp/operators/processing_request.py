"""Writing what CASA is given: the PPR of a run, and the files of an analyst."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from srdp.families import family_of
from srdp.operators.base import PipelineRunOperator, check_processing

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from srdp.domain.ppr.subject import Subject
    from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings


class WriteProcessingRequestOperator(PipelineRunOperator):
    """Writes the PPR and the analyst's files of a run into ``working/``, as they were given, byte for byte.

    What the run was given is in the ledger since it was opened. A run that was given no PPR has it written from its
    recipe, and put into the ledger too. All is linted, and the SHA-256 of the PPR recorded, which CASA is started with.

    What is in ``working/`` already is never written again. Before CASA is started only this step and people write
    there, so that a file with other bytes than the ledger's is a person's edit of this run: it stays, is linted like
    what was given, and takes its place in the ledger, with an event that has both checksums. So it is with a file that
    somebody added. Refusing it instead would ask the person to undo the edit and to make a run for it. Once CASA may
    have read the files, and may have written some of them, nothing is written, linted or recorded: an edit then is
    found by comparing checksums, and fails the run.

    Args:
        pipeline_run_id: the run (templated).
    """

    def run_step(self, context: Context) -> str:  # noqa: ARG002
        """Write the files; return the SHA-256 of the PPR in hexadecimal."""
        from srdp.domain.archiving.mous import sessions_in_manifest
        from srdp.domain.disk.staging import lint_staged, own_or_shared, subject_of_run
        from srdp.domain.ppr.document import read_processing_request
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.domain.runs.pipeline_run import processing_directory
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.operators.recipe import archived_asdms
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        check_processing(run, "No PPR is written")
        if any(attempt.job_name for attempt in ledger.casa_attempts(run.pipeline_run_id)):
            self.log.info("CASA has been started for %s: its files stay as they are.", run.pipeline_run_id)
            return run.ppr_sha256 or ""
        directory = processing_directory(settings.areas, run.pipeline_run_id)
        given = ledger.submitted_files(run.pipeline_run_id)
        subject = subject_of_run(family_of(run.kind).inputs, run, given, lambda: archived_asdms(settings, ledger, run))
        files = self._files(settings, run, subject, directory.working, given)
        report = lint_staged(
            {name: file.content for name, file in files.items()},
            subject=replace(subject, sessions=sessions_in_manifest(subject.asdms, directory.rawdata)),
            working=directory.working,
        )
        for warning in report.warnings:
            self.log.warning("%s", warning.sentence)
        report.refuse()
        for name, file in files.items():
            self._stage(ledger, run, subject, directory.working, file, own_or_shared(given, subject, name))
        request = read_processing_request(directory)
        ledger.record_ppr(run.pipeline_run_id, request.sha256)
        self.log.info(
            "%s has %d stages: %s", directory.processing_request, len(request.commands), ", ".join(request.commands)
        )
        # The next task has no log before it has its slot.
        place = ledger.casa_queue().get(run.pipeline_run_id)
        if place is not None:
            self.log.info("%s %s.", run.pipeline_run_id, place)
        return request.sha256

    def _files(
        self, settings: Settings, run: PipelineRun, subject: Subject, working: Path, given: dict[str, SubmittedFile]
    ) -> dict[str, SubmittedFile]:
        """What CASA is to read, by the names of the ledger: what lies there, else what was given."""
        from srdp.domain.disk.staging import PPR, staged_names
        from srdp.domain.runs.ledger_records import SubmittedFile

        for name in given:
            staged_names(subject, name)  # refuses what the pipeline would not read
        files = {
            file.name: file
            for name in subject.inputs.file_names
            for file in _lying_or_given(subject, working, name, given)
        }
        if PPR not in files:
            content = family_of(run.kind).render_request(settings, run, subject)
            files[PPR] = SubmittedFile(name=PPR, content=content, source=f"recipe {run.recipe}")
        return files

    def _stage(
        self,
        ledger: VerdictLedger,
        run: PipelineRun,
        subject: Subject,
        working: Path,
        file: SubmittedFile,
        given: SubmittedFile | None,
    ) -> None:
        if given is not None and given.content != file.content:
            # The edit is carried to the file's other names before the ledger has it: of an edit that is recorded, what
            # was given before and still lies there would be one.
            self._write(subject, working, file)
            self.log.warning("%s was edited in %s: CASA is given the edited one.", file.name, working)
            details = {"name": file.name, "sha256_given": given.sha256, "sha256_edited": file.sha256}
            ledger.record(run.pipeline_run_id, "given_file_edited", details)
        if given is None or given.content != file.content:
            ledger.record_given_file(run.pipeline_run_id, file)
        self._write(subject, working, file)

    def _write(self, subject: Subject, working: Path, file: SubmittedFile) -> None:
        from srdp.domain.disk.staging import staged_names
        from srdp.domain.files.whole_file import write_whole_file

        for staged in staged_names(subject, file.name):
            if write_whole_file(working.parent, working / staged, file.content):
                self.log.info("%s is %s (%s).", working / staged, file.name, file.source)


def _lying_or_given(
    subject: Subject, working: Path, name: str, given: dict[str, SubmittedFile]
) -> tuple[SubmittedFile, ...]:
    """The file of a name, or one for each ASDM once one of them has its own."""
    from srdp.domain.disk.staging import as_one, names_of_each, own_or_shared

    found = {}
    for each in names_of_each(subject, name):
        counts = own_or_shared(given, subject, each)
        file = _found(subject, working, each, counts) or counts
        if file is not None:
            found[each] = file
    if any(each in given for each in found):
        # The ledger's rows stay, and one that is an ASDM's own counts more than the one that all share.
        return tuple(replace(file, name=each) for each, file in found.items())
    return as_one(subject, name, found)


def _found(subject: Subject, working: Path, name: str, given: SubmittedFile | None) -> SubmittedFile | None:
    """What a person has put in a file's place, if that is not what was given."""
    from srdp.domain.common.errors import InvalidInput
    from srdp.domain.disk.staging import read_staged, staged_names
    from srdp.domain.runs.ledger_records import SubmittedFile

    places = [working / staged for staged in staged_names(subject, name)]
    found = {place: content for place in places if (content := read_staged(working.parent, place)) is not None}
    if given is not None:
        found = {place: content for place, content in found.items() if content != given.content}
    if len(set(found.values())) > 1:
        raise InvalidInput(f"{' and '.join(map(str, found))} are the same file and differ: keep the one that is meant.")
    for place, content in found.items():
        return SubmittedFile(name=name, content=content, source=str(place))
    return None
