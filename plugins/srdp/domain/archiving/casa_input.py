"""What CASA has read of a run, proved before it is archived: the PPR and the flag templates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from srdp.domain.analyst_files.flag_templates import holds_commands
from srdp.domain.archiving.contents import Contents
from srdp.domain.common.errors import Refused
from srdp.domain.disk.staging import own_templates
from srdp.domain.files.packing import Member
from srdp.domain.files.shared_files import ANALYST_FILE, read_shared
from srdp.domain.files.shared_folders import is_folder, list_shared
from srdp.domain.files.whole_file import write_whole_file
from srdp.domain.ppr.inputs import PipelineInputs
from srdp.domain.runs.identifiers import (
    disk_name,
)
from srdp.domain.runs.ledger_records import Ingest, PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import Areas, RunDirectory, spool_directory


def templates_read(directory: RunDirectory, contents: Contents, subject: str) -> list[Member]:
    """Return the flag templates that CASA read, as members of the tar; none if there was none.

    Args:
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
    """
    found = list_shared(directory.root, directory.working, contents.templates_read.format(subject=subject))
    # A link or a pipe, too: CASA may have read it, and it is refused when it is packed.
    return [Member(path.name, path, directory.root) for path in found if not is_folder(directory.root, path)]


def check_what_casa_read(
    directory: RunDirectory,
    contents: Contents,
    inputs: PipelineInputs,
    run: PipelineRun,
    recorded: Mapping[str, SubmittedFile],
) -> None:
    """Check that the PPR and flag templates in ``working/`` are those that CASA has read.

    What of them is there is archived as such. Not recorded are the templates without a command that CASA leaves.

    Args:
        directory: the run's directory.
        contents: what is archived of it.
        inputs: what the pipeline is given for runs of its family.
        run: the run.
        recorded: the files that it was given, by name, and those that CASA left.

    Raises:
        Refused: somebody has edited, removed or added one since.
        LocalFilesError: one cannot be read.
    """
    run_id = run.pipeline_run_id
    template, own = recorded.get(contents.template), own_templates(recorded, inputs)
    read = {directory.processing_request: run.ppr_sha256}
    places = [member.source for member in templates_read(directory, contents, run.subject)]
    if template is not None:
        pattern = directory.working / contents.templates_read.format(subject=run.subject)
        read |= dict.fromkeys(places or [pattern], template.sha256)
    read |= {directory.working / place: file.sha256 for place, file in own.items()}
    for path, sha256 in read.items():
        if sha256 is not None and _sha256_or_none(directory, path) != sha256:
            raise Refused(
                f"{run_id} is not ingested: {path} was edited after CASA had read it, or removed "
                f"(recorded SHA-256 {sha256[:12]}...); rerun it with the edited file, or put the former one back."
            )
    # What a rerun would take and no stage reads: who put it there may believe that this run has its flags.
    beside = directory.working / contents.template
    if template is None or _sha256_or_none(directory, beside) != template.sha256:
        places.append(beside)
    for path in (place for place in places if place not in read):
        content = _content_or_none(directory, path)
        if content is not None and holds_commands(content):
            raise Refused(
                f"{run_id} is not ingested: {path} holds flag commands, and this run was not given them, so that CASA "
                "has not read them; rerun it with that file, or remove the file."
            )


def _content_or_none(directory: RunDirectory, path: Path) -> bytes | None:
    try:
        return read_shared(directory.root, path, ANALYST_FILE)
    except FileNotFoundError:
        return None


def _sha256_or_none(directory: RunDirectory, path: Path) -> str | None:
    content = _content_or_none(directory, path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def used_by_casa(directory: RunDirectory, contents: Contents, subject: str, content: bytes) -> bool:
    """Whether a flag template is, byte for byte, one that CASA read.

    Args:
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
        content: the template that was given.
    """
    members = templates_read(directory, contents, subject)
    return any(_content_or_none(directory, member.source) == content for member in members)


def submitted_record(name: str, number: int) -> str:
    """Return under which name the ledger keeps a file that was given at an ingest.

    Args:
        name: what people call it, for example ``flagtemplate.txt``.
        number: which of the run's ingests.
    """
    return f"{name.removesuffix('.txt')}_given_at_ingest_{number}.txt"


def given_flag_template(
    areas: Areas, directory: RunDirectory, contents: Contents, subject: str, ingest: Ingest, content: bytes | None
) -> list[Member]:
    """Return the flag template that was given at the ingest, as a member of the tar whose name says what it is.

    It is written into the run's spool directory, which must be there, and packed from it.

    Args:
        areas: the roots.
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
        ingest: the ingest.
        content: the template; none is returned for ``None``, and for one that CASA read.

    Raises:
        LocalFilesError: it cannot be written.
    """
    if content is None or used_by_casa(directory, contents, subject, content):
        return []
    path = spool_directory(areas, ingest.pipeline_run_id) / submitted_record(contents.template, ingest.number)
    write_whole_file(areas.spool, path, content)
    name = contents.template.removesuffix(".txt")
    return [Member(f"{disk_name(subject)}.{name}.not_used_by_this_run.txt", path, areas.spool)]
