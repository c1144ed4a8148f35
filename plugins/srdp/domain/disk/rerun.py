"""What a rerun is given: which files it has, and whether they would do what they say.

A file is the one that the analyst gave; else the one that is in the former run's ``working/``, where analysts edit
files and CASA leaves its own; else, if the former run has no directory any more or had not been given its files there,
the one that the ledger has. A PPR that is nowhere is written again from its recipe. What CASA itself wrote in the
former run, and nobody has edited or given, is not given to a rerun that writes it itself: another release may write
another. What an analyst put there under the name of one of several ASDMs is that one's alone, and each of the others
keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from srdp.domain.analyst_files.flag_templates import holds_commands
from srdp.domain.analyst_files.names import (
    ADAPT,
    CONTINUUM_SEARCH,
    FINDS_CONTINUUM,
    PROCESSING_REQUEST,
    REQUEST_AS_GIVEN,
)
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.analyst_files.submitted import BY_CASA, PASTED, FileNotTaken, read_lying, submitted_file
from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.lint import Finding, Report, sentences
from srdp.domain.disk.staging import (
    as_one,
    files_to_be_read,
    lint_files,
    names_of_each,
    own_or_shared,
    shared_name,
    staged_names,
    subject_of_run,
)
from srdp.domain.files.shared_folders import list_shared
from srdp.domain.ppr.adaptation import Adaptation, adapted
from srdp.domain.ppr.document import parse_processing_request
from srdp.domain.ppr.inputs import PipelineInputs
from srdp.domain.ppr.subject import Asdm, Subject
from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import RunDirectory


class RerunFilesRefused(InvalidInput):
    """The files of a rerun cannot be taken, or would not do what they seem to say; the text has one sentence a line."""


@dataclass(frozen=True)
class FormInput:
    """What an analyst gave for one file; at most one of the two.

    Attributes:
        path: where it is.
        text: the file itself.
    """

    path: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Former:
    """The run that is repeated.

    Attributes:
        inputs: what the pipeline is given for runs of its family.
        run: the run.
        directory: its directory at its present place; None if it has none any more.
        recorded: the files that it was given, by name.
        archived_asdms: the ASDMs that the archive knows of; those of a MOUS if no PPR is recorded.
    """

    inputs: PipelineInputs
    run: PipelineRun
    directory: RunDirectory | None
    recorded: Mapping[str, SubmittedFile]
    archived_asdms: Sequence[Asdm] = ()

    @property
    def subject(self) -> Subject:
        """What the run worked on, and the rerun will."""
        return subject_of_run(self.inputs, self.run, self.recorded, lambda: self.archived_asdms)


@dataclass(frozen=True)
class RerunFiles:
    """The files of a rerun, all of them linted.

    Attributes:
        files: the files, by their names; none is the PPR if that is to be written from the recipe.
        warnings: what is odd in them and may be meant.
        written_again: what is there and is not taken, because CASA wrote it and will write it again.
        adaptation: what was changed in the PPR, which is then among the files twice: as it was given, too.
    """

    files: tuple[SubmittedFile, ...]
    warnings: tuple[Finding, ...] = ()
    written_again: tuple[SubmittedFile, ...] = ()
    adaptation: Adaptation | None = None


def files_of_rerun(
    form_inputs: Mapping[str, FormInput],
    former: Former,
    *,
    roots: Sequence[Path],
    observed: Observed,
    from_recipe: Callable[[], bytes],
    adapt: bool = False,
) -> RerunFiles:
    """Return the files of a rerun; make nothing.

    Args:
        form_inputs: what the analyst gave, by the names of the files.
        former: the run that is repeated.
        roots: the folders that files are taken from, those of the former run included.
        observed: what is known of the observation.
        from_recipe: returns the PPR that the recipe gives; called only if there is no other.
        adapt: whether the PPR is adapted to the other files, where that follows from which stage reads which.

    Raises:
        RerunFilesRefused: something is wrong; all problems of all files are reported.
        ServiceUnavailable: a file system does not serve now.
    """
    subject = former.subject
    files: dict[str, SubmittedFile] = {}
    refused: dict[str, str] = {}
    for name in former.inputs.file_names:
        asked = form_inputs.get(name, FormInput())
        try:
            files |= {file.name: file for file in _files_called(name, asked, former, subject, roots)}
        except FileNotTaken as problem:
            refused[name] = str(problem)
    contents = {name: file.content for name, file in files.items()}
    called = {name: _called(file) for name, file in files.items()}
    if PROCESSING_REQUEST not in files and PROCESSING_REQUEST not in refused:
        contents[PROCESSING_REQUEST] = from_recipe()
        called[PROCESSING_REQUEST] = f"recipe {former.run.recipe}"
    written_again = []
    for name in former.inputs.left_by_casa:
        picked_up = files.get(name) if form_inputs.get(name, FormInput()) == FormInput() else None
        if _is_written_again(picked_up, former, contents.get(PROCESSING_REQUEST)):
            written_again.append(files.pop(name))
            del contents[name]
    to_be_read = files_to_be_read(contents, subject, refused)
    request = contents.get(PROCESSING_REQUEST)
    adaptation = None if request is None else adapted(request, former.inputs, to_be_read)
    if adaptation and request is not None and adapt:
        given = files.get(PROCESSING_REQUEST) or SubmittedFile(
            name=PROCESSING_REQUEST, content=request, source=called[PROCESSING_REQUEST]
        )
        files[REQUEST_AS_GIVEN] = replace(given, name=REQUEST_AS_GIVEN)
        files[PROCESSING_REQUEST] = replace(given, content=adaptation.content, source=f"adapted from {given.source}")
        contents[PROCESSING_REQUEST] = adaptation.content
        called[PROCESSING_REQUEST] += ", adapted"
    report = lint_files(
        contents,
        subject=subject,
        called=called,
        observed=observed,
        # A flag template that could not be taken is to be read by a stage all the same.
        also_given=refused,
    )
    report += Report(findings=tuple(_passed_over(former)))
    refusals = [*refused.values(), *sentences(report.findings)]
    if refusals:
        for file in files.values():
            refusals += _picked_up_unasked(form_inputs, file, shared_name(subject, file.name), report)
        if adaptation and not adapt:
            refusals.append(f"Of this, the rerun corrects what it can by itself with {ADAPT!r}.")
        raise RerunFilesRefused("\n".join(refusals))
    return RerunFiles(
        tuple(files.values()), tuple(sorted(report.warnings)), tuple(written_again), adaptation if adapt else None
    )


def _files_called(
    name: str, asked: FormInput, former: Former, subject: Subject, roots: Sequence[Path]
) -> tuple[SubmittedFile, ...]:
    """Return the file of a name, or one for each measurement set that has its own."""
    given = submitted_file(name, path=asked.path, text=asked.text, roots=roots)
    own = None if given is None else _whose(given, subject)
    if given is not None and own is None:
        return (given,)
    found: dict[str, SubmittedFile] = {}
    problems = []
    for each in names_of_each(subject, name):
        try:
            file = given if each == own else _found(each, former, subject)
        except FileNotTaken as problem:
            problems.append(str(problem))
            continue
        if file is not None:
            found[each] = file
    if problems:
        raise FileNotTaken("\n".join(dict.fromkeys(problems)))
    return as_one(subject, name, found)


def _whose(given: SubmittedFile, subject: Subject) -> str | None:
    """Return the name of one measurement set's own file if the path that was given says that it is one."""
    called = PurePosixPath(given.source).name
    each = names_of_each(subject, given.name)
    return next((own for own in each if own != given.name and called in staged_names(subject, own)), None)


def _found(name: str, former: Former, subject: Subject) -> SubmittedFile | None:
    """Return a file that was not submitted: from the former run's directory, or from the ledger."""
    lying = None if former.directory is None else _lying(name, former, subject, former.directory)
    if lying is not None:
        return lying
    # A file that was there once and is not now was removed by a person: it is not put back. Only without a PPR
    # nothing can be run.
    was_staged = former.directory is not None and former.run.ppr_sha256 is not None
    recorded = own_or_shared(former.recorded, subject, name)
    if recorded is None or (was_staged and name != PROCESSING_REQUEST):
        return None
    return replace(recorded, source=f"pipeline run {former.run.pipeline_run_id}")


def _lying(name: str, former: Former, subject: Subject, directory: RunDirectory) -> SubmittedFile | None:
    """Return the file in ``working/``, under the name that people use or under one that the pipeline reads."""
    shared = shared_name(subject, name)
    places = [directory.working / each for each in dict.fromkeys((shared, *staged_names(subject, name)))]
    found = {place: content for place in places if (content := read_lying(directory.root, place)) is not None}
    if len(set(found.values())) > 1:
        # An unedited file of the former run gives way to one put beside it.
        recorded = own_or_shared(former.recorded, subject, name)
        found = {place: content for place, content in found.items() if not recorded or content != recorded.content}
    if shared == subject.inputs.flag_template.name and shared not in subject.inputs.left_by_casa:
        # Nor are the templates without a command that CASA leaves for each measurement set.
        found = {place: content for place, content in found.items() if holds_commands(content)}
    if len(set(found.values())) > 1:
        raise FileNotTaken(
            f"{' and '.join(map(str, found))} are the same file and differ: move away the one that is not meant, or "
            f"give the path of the {shared} that is."
        )
    return next((SubmittedFile(name=name, content=found[place], source=str(place)) for place in found), None)


def _is_written_again(file: SubmittedFile | None, former: Former, processing_request: bytes | None) -> bool:
    """Return whether CASA wrote a file that was not submitted or edited since, and will write it again."""
    recorded = former.recorded.get(file.name) if file is not None else None
    if file is None or recorded is None or not recorded.source.startswith(BY_CASA) or file.content != recorded.content:
        return False
    # The import writes the others, and no pipeline is without.
    by_search = former.inputs.left_by_casa[file.name] == CONTINUUM_SEARCH
    return not by_search or FINDS_CONTINUUM in _commands(processing_request)


def _commands(processing_request: bytes | None) -> tuple[str, ...]:
    if processing_request is None:
        return ()
    try:
        return parse_processing_request(processing_request, PROCESSING_REQUEST).commands
    except InvalidInput:
        return ()  # the linter says what is wrong with it


def _passed_over(former: Former) -> list[Finding]:
    """Find flag commands in ``working/`` that will not be read although their author expects it."""
    if former.directory is None:
        return []
    root, working, template = former.directory.root, former.directory.working, former.inputs.flag_template
    places = [place for place in list_shared(root, working) if template.passes_over(place.name)]
    findings = [template.passed_over(str(place)) for place in places if _may_flag(root, place)]
    return [replace(finding, fix=f"{finding.fix}, and remove it") for finding in findings]


def _may_flag(root: Path, place: Path) -> bool:
    """Return whether a file has a flag command in it, or cannot be read; CASA leaves some that have none."""
    try:
        return holds_commands(read_lying(root, place) or b"")
    except FileNotTaken:
        return True


def _called(file: SubmittedFile) -> str:
    """Return what the analyst calls a file: its path, or its name and where it comes from."""
    if file.source.startswith("/"):
        return file.source
    return f"pasted {file.name}" if file.source == PASTED else f"{file.name} of {file.source}"


def _picked_up_unasked(
    form_inputs: Mapping[str, FormInput], file: SubmittedFile, shared: str, report: Report
) -> list[str]:
    """Explains a file which does not go with the stages, and which the analyst may not know of."""
    if form_inputs.get(shared, FormInput()) != FormInput():
        return []
    if not any(shared in finding.problem for finding in report.findings):
        return []
    return [f"No {shared} was given, so that {_called(file)} is taken: move it away if you do not want it."]
