"""Writing what CASA is given: the PPR of a run, and the files of an analyst."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from srdp.domain.archiving.mous import sessions_in_manifest
from srdp.domain.common.errors import InvalidInput
from srdp.domain.disk.staging import (
    PPR,
    as_one,
    lint_staged,
    names_of_each,
    own_or_shared,
    read_staged,
    staged_names,
    subject_of_run,
)
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import SubmittedFileEdited
from srdp.domain.files.whole_file import write_whole_file
from srdp.domain.ppr.document import read_processing_request
from srdp.domain.ppr.subject import Subject
from srdp.domain.runs.ledger_records import SubmittedFile
from srdp.domain.runs.pipeline_run import processing_directory
from srdp.services.context import RunContext
from srdp.services.processing.imaged_mous import mous_of_run

log = logging.getLogger(__name__)


def write_processing_request(context: RunContext) -> str:
    """Write the PPR and the analyst's files of a run into ``working/``, once; what people put there stays.

    Args:
        context: a run that is being processed.

    Returns:
        The SHA-256 of the PPR in hexadecimal.

    Raises:
        InvalidInput: a file is wrong, or there is no such recipe.
    """
    ledger, run = context.ledger, context.run
    if any(attempt.job_name for attempt in ledger.casa.of_run(run.pipeline_run_id)):
        log.info("CASA has been started for %s: its files stay as they are.", run.pipeline_run_id)
        return run.ppr_sha256 or ""
    directory = processing_directory(context.settings.areas, run.pipeline_run_id)
    given = ledger.submitted_files.of_run(run.pipeline_run_id)
    subject = subject_of_run(context.family.inputs, run, given, lambda: mous_of_run(context).named_asdms)
    files = _files(context, subject, directory.working, given)
    report = lint_staged(
        {name: file.content for name, file in files.items()},
        subject=replace(subject, sessions=sessions_in_manifest(subject.asdms, directory.rawdata)),
        working=directory.working,
    )
    for warning in report.warnings:
        log.warning("%s", warning.sentence)
    report.refuse()
    for name, file in files.items():
        _stage(context, subject, directory.working, file, own_or_shared(given, subject, name))
    request = read_processing_request(directory)
    ledger.runs.record_ppr(run.pipeline_run_id, request.sha256)
    log.info("%s has %d stages: %s", directory.processing_request, len(request.commands), ", ".join(request.commands))
    # The next task has no log before it has its slot.
    place = ledger.casa.queue().get(run.pipeline_run_id)
    if place is not None:
        log.info("%s %s.", run.pipeline_run_id, place)
    return request.sha256


def _files(
    context: RunContext, subject: Subject, working: Path, given: dict[str, SubmittedFile]
) -> dict[str, SubmittedFile]:
    """What CASA is to read, by the names of the ledger: what is there, else what was given."""
    run = context.run
    for name in given:
        staged_names(subject, name)  # refuses what the pipeline would not read
    files = {
        file.name: file for name in subject.inputs.file_names for file in _lying_or_given(subject, working, name, given)
    }
    if PPR not in files:
        content = context.family.render_request(context.settings, run, subject)
        files[PPR] = SubmittedFile(name=PPR, content=content, source=f"recipe {run.recipe}")
    return files


def _stage(
    context: RunContext, subject: Subject, working: Path, file: SubmittedFile, given: SubmittedFile | None
) -> None:
    if given is not None and given.content != file.content:
        # The edit is carried to the file's other names before the ledger has it: of an edit that is recorded, what
        # was given before and still is there would be one.
        _write(subject, working, file)
        log.warning("%s was edited in %s: CASA is given the edited one.", file.name, working)
        edited = SubmittedFileEdited(name=file.name, sha256_submitted=given.sha256, sha256_edited=file.sha256)
        context.ledger.events.record(context.run_id, EventName.SUBMITTED_FILE_EDITED, edited)
    if given is None or given.content != file.content:
        context.ledger.submitted_files.record(context.run_id, file)
    _write(subject, working, file)


def _write(subject: Subject, working: Path, file: SubmittedFile) -> None:
    for staged in staged_names(subject, file.name):
        if write_whole_file(working.parent, working / staged, file.content):
            log.info("%s is %s (%s).", working / staged, file.name, file.source)


def _lying_or_given(
    subject: Subject, working: Path, name: str, given: dict[str, SubmittedFile]
) -> tuple[SubmittedFile, ...]:
    """The file of a name, or one for each ASDM once one of them has its own."""
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
    places = [working / staged for staged in staged_names(subject, name)]
    found = {place: content for place in places if (content := read_staged(working.parent, place)) is not None}
    if given is not None:
        found = {place: content for place, content in found.items() if content != given.content}
    if len(set(found.values())) > 1:
        raise InvalidInput(f"{' and '.join(map(str, found))} are the same file and differ: keep the one that is meant.")
    for place, content in found.items():
        return SubmittedFile(name=name, content=content, source=str(place))
    return None
