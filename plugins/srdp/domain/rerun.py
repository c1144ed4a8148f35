"""What a rerun is given: which files it has, and whether they would do what they say.

A file is the one that the analyst gave; else the one that lies in the former run's ``working/``, where analysts edit
files and CASA leaves its own; else, if the former run has no directory any more or had not been given its files there,
the one that the ledger has. A PPR that is nowhere is written anew from its recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from srdp.domain.errors import InvalidInput, ServiceUnavailable
from srdp.domain.flag_commands import is_target_template
from srdp.domain.given_files import FLAG_TEMPLATE, PASTED, PROCESSING_REQUEST, FileNotTaken, given_file, read_below
from srdp.domain.identifiers import execution_block_name
from srdp.domain.ledger_records import GivenFile, PipelineRun
from srdp.domain.lint import Finding, Report
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.selections import Observed
from srdp.domain.staging import file_names, lint_files, staged_names

_TARGET_TEMPLATE_FIX: Final = "put target flags into flagtemplate.txt, and remove it"


class RerunFilesRefused(InvalidInput):
    """The files of a rerun cannot be taken, or would not do what they seem to say; the text has one sentence a line."""


@dataclass(frozen=True)
class Said:
    """What an analyst said of one file; at most one of the two.

    Attributes:
        path: where it lies.
        text: the file itself.
    """

    path: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Former:
    """The run that is repeated.

    Attributes:
        run: the run.
        directory: its directory from where it lies now; None if it has none any more.
        recorded: the files that it was given, by name.
    """

    run: PipelineRun
    directory: RunDirectory | None
    recorded: Mapping[str, GivenFile]


@dataclass(frozen=True)
class RerunFiles:
    """The files of a rerun, all of them linted.

    Attributes:
        files: the files, by their names; none is the PPR if that is to be written from the recipe.
        warnings: what is odd in them and may be meant.
    """

    files: tuple[GivenFile, ...]
    warnings: tuple[Finding, ...] = ()


def files_of_rerun(
    said: Mapping[str, Said],
    former: Former,
    *,
    roots: Sequence[Path],
    observed: Observed,
    from_recipe: Callable[[], bytes],
) -> RerunFiles:
    """Returns the files of a rerun; makes nothing.

    Args:
        said: what the analyst gave, by the names of the files.
        former: the run that is repeated.
        roots: the folders that files are taken from, those of the former run included.
        observed: what is known of the observation.
        from_recipe: returns the PPR that the recipe gives; called only if there is no other.

    Raises:
        RerunFilesRefused: something is wrong; everything is told that is wrong with any file.
        ServiceUnavailable: a file system does not serve now.
    """
    files: dict[str, GivenFile] = {}
    refused: dict[str, str] = {}
    for name in file_names(former.run.kind):
        asked = said.get(name, Said())
        try:
            file = given_file(name, path=asked.path, text=asked.text, roots=roots) or _found(name, former, roots)
        except FileNotTaken as problem:
            refused[name] = str(problem)
            continue
        if file is not None:
            files[name] = file
    contents = {name: file.content for name, file in files.items()}
    called = {name: _called(file) for name, file in files.items()}
    if PROCESSING_REQUEST not in files and PROCESSING_REQUEST not in refused:
        contents[PROCESSING_REQUEST] = from_recipe()
        called[PROCESSING_REQUEST] = f"recipe {former.run.recipe}"
    report = lint_files(
        contents,
        execution_block=execution_block_name(former.run.subject),
        called=called,
        observed=observed,
        # A flag template that could not be taken is to be read by a stage all the same.
        also_given=refused,
    )
    report += Report(findings=tuple(_target_templates(former)))
    sentences = [*refused.values(), *(finding.sentence for finding in sorted(report.findings))]
    if sentences:
        sentences += _picked_up_unasked(said, files.get(FLAG_TEMPLATE), report)
        raise RerunFilesRefused("\n".join(sentences))
    return RerunFiles(tuple(files.values()), tuple(sorted(report.warnings)))


def _found(name: str, former: Former, roots: Sequence[Path]) -> GivenFile | None:
    """Returns a file that nobody gave: from where the former run lies, or from the ledger."""
    lying = None if former.directory is None else _lying(name, former, former.directory.working, roots)
    if lying is not None:
        return lying
    # What is not there now, although it was there once, somebody took away: it is not put back. Only without a PPR
    # nothing can be run.
    was_staged = former.directory is not None and former.run.ppr_sha256 is not None
    recorded = former.recorded.get(name)
    if recorded is None or (was_staged and name != PROCESSING_REQUEST):
        return None
    return replace(recorded, source=f"pipeline run {former.run.pipeline_run_id}")


def _lying(name: str, former: Former, working: Path, roots: Sequence[Path]) -> GivenFile | None:
    """Returns the file in ``working/``, under the name that people use or under that which the pipeline reads."""
    places = dict.fromkeys((name, *staged_names(former.run.kind, name, former.run.subject)))
    found = {place: read_below(str(place), roots) for place in (working / each for each in places) if _is_there(place)}
    if len(set(found.values())) > 1:
        # What the former run was given, and nobody has edited, is not what somebody has put beside it.
        recorded = former.recorded.get(name)
        found = {place: content for place, content in found.items() if not recorded or content != recorded.content}
    if len(set(found.values())) > 1:
        raise FileNotTaken(
            f"{' and '.join(map(str, found))} are the same file and differ: move away the one that is not meant, or "
            f"give the path of the {name} that is."
        )
    return next((GivenFile(name=name, content=found[place], source=str(place)) for place in found), None)


def _is_there(place: Path) -> bool:
    try:
        place.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        # Not taken for missing: an analyst's edit would be lost without a word.
        raise ServiceUnavailable(f"{place} cannot be looked at now ({error.strerror}).") from None
    return True


def _target_templates(former: Former) -> list[Finding]:
    """Finds templates of target flags that lie in ``working/``, where somebody thinks that they will be read."""
    if former.directory is None or not _is_there(former.directory.working):
        return []
    try:
        names = sorted(path.name for path in former.directory.working.iterdir() if is_target_template(path.name))
    except OSError as error:
        raise ServiceUnavailable(f"{former.directory.working} cannot be read now ({error.strerror}).") from None
    return [
        Finding(
            str(former.directory.working / name), 1, 1, name, "is not read by the VLA pipeline", _TARGET_TEMPLATE_FIX
        )
        for name in names
    ]


def _called(file: GivenFile) -> str:
    """Returns what the analyst calls a file: its path, or its name and where it comes from."""
    if file.source.startswith("/"):
        return file.source
    return f"pasted {file.name}" if file.source == PASTED else f"{file.name} of {file.source}"


def _picked_up_unasked(said: Mapping[str, Said], template: GivenFile | None, report: Report) -> list[str]:
    """Explains a flag template which no stage reads and which the analyst may not know of."""
    if template is None or said.get(FLAG_TEMPLATE, Said()) != Said():
        return []
    if not any(FLAG_TEMPLATE in finding.problem for finding in report.findings):
        return []
    return [f"No {FLAG_TEMPLATE} was given, so that {_called(template)} is taken: move it away if it is not meant."]
