"""What CASA is given in ``working/``: the PPR and the analyst's files, under the names that the pipeline looks for.

A file has the name by which people know it (``flagtemplate.txt``) and one or more names in ``working/``
(``<EB>.flagtemplate.txt``), by the family of its pipeline.

Of a MOUS with several ASDMs, a file that the pipeline reads for each may be there for each, and differ. It has a name
of its own then, with the ASDM's before it (``<ASDM>.flagtargetstemplate.txt``), and counts for that ASDM in the place
of the file that all of them share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from srdp.domain.analyst_files.antenna_positions import lint_antenna_positions
from srdp.domain.analyst_files.continuum_ranges import lint_continuum_ranges
from srdp.domain.analyst_files.flag_commands import lint_flag_commands
from srdp.domain.analyst_files.flag_templates import holds_commands
from srdp.domain.analyst_files.flux_csv import lint_flux_densities
from srdp.domain.analyst_files.names import (
    ANTENNA_POSITIONS,
    CONTINUUM_RANGES,
    FLUX_DENSITIES,
    PROCESSING_REQUEST,
    REQUEST_AS_GIVEN,
)
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.lint import Report
from srdp.domain.files.shared_files import ANALYST_FILE, read_shared
from srdp.domain.ppr.document import asdms_of
from srdp.domain.ppr.inputs import PipelineInputs
from srdp.domain.ppr.lint import lint_processing_request
from srdp.domain.ppr.subject import Asdm, Subject
from srdp.domain.runs.identifiers import execution_block_name, project_of
from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile

#: What the PPR is called, by people, in ``working/`` and in the ledger.
PPR: Final = PROCESSING_REQUEST


def subject_of_run(
    inputs: PipelineInputs,
    run: PipelineRun,
    given: Mapping[str, SubmittedFile],
    archived_asdms: Callable[[], Sequence[Asdm]] | None = None,
) -> Subject:
    """Return what a run works on; of a MOUS with the ASDMs that the run's own PPR names.

    Args:
        inputs: what the pipeline is given for runs of its family.
        run: the run.
        given: the files that it was given, from the ledger.
        archived_asdms: returns the ASDMs that the archive knows of; called only if the ledger has no PPR, or one that
            the pipeline can make nothing of.

    Raises:
        InvalidInput: the PPR in the ledger cannot be read, and the archive is not asked.
    """
    if not inputs.of_asdms:
        name = execution_block_name(run.subject)
        return Subject(inputs=inputs, name=name, project=project_of(name))
    asked = run.asked or {}
    return Subject(
        inputs=inputs,
        name=run.subject,
        project=run.project,
        asdms=_asdms_of_run(run, given.get(PPR), archived_asdms),
        fields=tuple(asked.get("fields", ())),
    )


def _asdms_of_run(
    run: PipelineRun, request: SubmittedFile | None, archived_asdms: Callable[[], Sequence[Asdm]] | None
) -> tuple[Asdm, ...]:
    if request is not None:
        try:
            return asdms_of(request.content, f"{PPR} of {run.pipeline_run_id}")
        except InvalidInput:
            # An earlier release has recorded what this one refuses: its rerun is how to correct it.
            if archived_asdms is None:
                raise
    return tuple(archived_asdms()) if archived_asdms is not None else ()


def staged_names(subject: Subject, name: str) -> tuple[str, ...]:
    """Return the names under which the pipeline looks for a file in ``working/``.

    Args:
        subject: what the run works on.
        name: the file's name as people use it.

    Returns:
        The names; none for the PPR as it was before it was adapted.

    Raises:
        InvalidInput: the pipeline of that kind reads no such file, or the ASDMs of the MOUS are not known.
    """
    names, shared = subject.inputs.files, shared_name(subject, name)
    if name == REQUEST_AS_GIVEN:
        return ()
    if shared not in names:
        raise InvalidInput(f"{quoted(name)} is not read by {subject.inputs.kind}: it reads {', '.join(names)}.")
    if not subject.measurement_sets:
        raise InvalidInput(f"The ASDMs of {subject.name} are not known: the run's PPR must name them.")
    own = [data for data in subject.measurement_sets if shared != name and name == f"{data}.{shared}"]
    each = (staged.format(data=data) for data in own or subject.measurement_sets for staged in names[shared].staged)
    return tuple(dict.fromkeys(each))


def names_of_each(subject: Subject, name: str) -> tuple[str, ...]:
    """Return the names that a file has if every measurement set has its own; the file's if there is but one.

    Args:
        subject: what the run works on.
        name: the file's name as people use it.
    """
    data_sets = subject.measurement_sets
    known = subject.inputs.files.get(name)
    if len(data_sets) < 2 or known is None or not any("{data}" in staged for staged in known.staged):
        return (name,)
    return tuple(f"{data}.{name}" for data in data_sets)


def shared_name(subject: Subject, name: str) -> str:
    """Return what people call a file, of whichever measurement set it is.

    Args:
        subject: what the run works on.
        name: the file's name, or that of one measurement set's own.
    """
    return next((each for each in subject.inputs.files if name in names_of_each(subject, each)), name)


def own_or_shared(given: Mapping[str, SubmittedFile], subject: Subject, name: str) -> SubmittedFile | None:
    """Return the file that counts for one measurement set: its own, else the one that all of them share.

    Args:
        given: the files of a run, by their names.
        subject: what the run works on.
        name: one of :func:`names_of_each`.
    """
    return given.get(name) or given.get(shared_name(subject, name))


def own_templates(given: Mapping[str, SubmittedFile], inputs: PipelineInputs) -> dict[str, SubmittedFile]:
    """Return the flag templates that a run was given for one measurement set, by their names in ``working/``.

    Args:
        given: the files of the run, by their names.
        inputs: what the pipeline is given for runs of its family.
    """
    template = inputs.flag_template.name
    own = {name.removesuffix(f".{template}"): file for name, file in given.items() if name.endswith(f".{template}")}
    return {staged.format(data=data): file for data, file in own.items() for staged in inputs.files[template].staged}


def as_one(subject: Subject, name: str, found: Mapping[str, SubmittedFile]) -> tuple[SubmittedFile, ...]:
    """Return the files of all measurement sets as one if they are the same, else each under its own name.

    Args:
        subject: what the run works on.
        name: the file's name as people use it.
        found: by the names of :func:`names_of_each`, as many as there are.
    """
    contents = {file.content for file in found.values()}
    if len(contents) == 1 and found.keys() == {*names_of_each(subject, name)}:
        return (replace(next(iter(found.values())), name=name),)
    return tuple(replace(file, name=own) for own, file in found.items())


def read_staged(root: Path, place: Path) -> bytes | None:
    """Return a file's bytes; None if there is none.

    Args:
        root: the run's directory.
        place: the file, in ``working/``.

    Raises:
        UnsafeFile: something is there that is no regular file, or a file that is far too large.
        LocalFilesError: it cannot be read.
    """
    try:
        return read_shared(root, place, ANALYST_FILE)
    except FileNotFoundError:
        return None


def lint_staged(contents: Mapping[str, bytes], *, subject: Subject, working: Path) -> Report:
    """Lints all files that a run is given, one against the other where that can be.

    Args:
        contents: the files' bytes by the names that people use; the PPR among them.
        subject: what the run works on.
        working: the run's ``working/``, for the sentences.
    """
    called = {name: str(working / staged_names(subject, name)[0]) for name in contents}
    return lint_files(contents, subject=subject, called=called)


def lint_files(
    contents: Mapping[str, bytes],
    *,
    subject: Subject,
    called: Mapping[str, str],
    observed: Observed | None = None,
    also_given: Collection[str] = (),
) -> Report:
    """Lints files of a run, wherever they are, one against the other where that can be.

    Args:
        contents: the files' bytes by the names that people use.
        subject: what the run works on.
        called: what the sentences call each of them: a path, for example.
        observed: what is known of the observation.
        also_given: further files, by name, that the PPR is to have readers for.
    """
    linters = _linters(subject, observed, files_to_be_read(contents, subject, also_given))
    report = Report()
    for name, content in contents.items():
        report += linters[shared_name(subject, name)](content, called[name])
    return report


def files_to_be_read(
    contents: Mapping[str, bytes], subject: Subject, also_given: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the files that the PPR must have stages for, by the names that people use.

    Args:
        contents: the files' bytes; the PPR may be among them.
        subject: what the run works on.
        also_given: further files.
    """
    template = subject.inputs.flag_template.name
    shared = {name: shared_name(subject, name) for name in contents}
    # CASA itself leaves templates without a command: nothing is lost if no stage reads one.
    read = {shared[name] for name, content in contents.items() if shared[name] != template or holds_commands(content)}
    return tuple(sorted({*read, *also_given} - {PPR}))


def _linters(
    subject: Subject, observed: Observed | None, analyst_files: Collection[str]
) -> Mapping[str, Callable[[bytes, str], Report]]:
    """Return the linter of each file, by the name that people use."""
    template = subject.inputs.flag_template
    return {
        PPR: lambda content, file: lint_processing_request(
            content, subject=subject, file=file, analyst_files=analyst_files
        ),
        template.name: lambda content, file: lint_flag_commands(
            content, file=file, observed=observed, template=template
        ),
        FLUX_DENSITIES: lambda content, file: lint_flux_densities(
            content, execution_block=execution_block_name(subject.name), file=file
        ),
        ANTENNA_POSITIONS: lambda content, file: lint_antenna_positions(
            content, execution_block=execution_block_name(subject.name), file=file, observed=observed
        ),
        CONTINUUM_RANGES: lambda content, file: lint_continuum_ranges(
            content,
            file=file,
            fields=subject.fields or (observed or Observed()).fields,
            telescope=subject.inputs.telescope,
            windows=range(len((observed or Observed()).windows)),
        ),
    }
