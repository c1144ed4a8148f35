"""The outcome of a CASA run: proved by what it left, because its exit status proves nothing.

A success is all of: no ``errorexit`` file newer than the start; a manifest whose files are all there and not empty;
every stage of the PPR before the last export in the AQUA report; raw data that are still what was fetched. What the
manifest has to name besides depends on what is made: all that a restore needs, or a science image.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TypeVar

from srdp.domain.casa.aqua_report import AquaReport, Band, StageScore, band, read_aqua_report
from srdp.domain.casa.calibration_tables import table_gaps
from srdp.domain.casa.log import EndOfLog, end_of_log
from srdp.domain.casa.manifest import RESTORE_KINDS, Manifest, read_manifest
from srdp.domain.common.errors import MOST_FAULTS, InvalidInput, SrdpError, quoted, shortened
from srdp.domain.files.shared_files import AQUA_REPORT, MANIFEST, FileKind, read_shared
from srdp.domain.files.shared_folders import list_shared, look_at
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.raw_data.linking import raw_data_differences
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import RunDirectory

_EXPORT_SUFFIX = "_exportdata"
_IMAGE = "image"
_LOG_LINES = 20

Document = TypeVar("Document", Manifest, AquaReport)


class OutcomeNotProved(SrdpError):
    """CASA ended, and what it left does not prove a success."""


@dataclass(frozen=True)
class Outcome:
    """What a CASA run came to.

    Attributes:
        missing: what the proof of a success lacks, one sentence each; empty if the run is proved.
        warnings: what a data analyst must know of a run that is proved, one sentence each.
        casa_version: the release of CASA, as the pipeline's report or its manifest says.
        pipeline_version: the release of the pipeline, likewise.
        stages: the stages in the AQUA report with their QA scores, in their order.
        lowest: the stage with the lowest score; ``None`` if none has a score.
        band: the band that the lowest score is in.
        restorable: whether the manifest names all that a restore needs.
        failed_stage: of a run that is not proved, the stage in which it stopped, as CASA's log says; else the first
            that is not in the report; ``None`` if neither is known.
        errorexit: the name of the pipeline's ``errorexit`` file; ``None`` if there is none.
        log_tail: the last lines of CASA's log, or the one sentence that says why it was not read.
    """

    missing: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    casa_version: str | None = None
    pipeline_version: str | None = None
    stages: tuple[StageScore, ...] = ()
    lowest: StageScore | None = None
    band: Band = Band.NO_SCORE
    restorable: bool = False
    failed_stage: str | None = None
    errorexit: str | None = None
    log_tail: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether the run is a success."""
        return not self.missing


def judge(
    directory: RunDirectory,
    commands: Sequence[str],
    started_at: datetime,
    *,
    raw_data: Sequence[FetchedFile] = (),
    exit_code: int | None = 0,
    science_images: Sequence[str] | None = None,
) -> Outcome:
    """Judges a run by its files.

    Args:
        directory: the run's directory, at its present place.
        commands: the stages that the pipeline runs of the PPR, in their order; none that it drops or passes over.
        started_at: when CASA was started; any zone.
        raw_data: what was recorded of the raw data when they were fetched or linked. One that was changed since is a
            gap: nobody knows which bytes CASA has read, and a linked file has changed in the former run too.
        exit_code: what CASA exited with. It is no proof and no refutation (CASA has been seen to crash after its last
            stage): one other than 0 is a warning.
        science_images: shell patterns of the images that users want; the manifest must name one, where the
            recipe makes images from a calibration that exists. None: it makes a calibration, and the products must
            suffice to restore that.

    Returns:
        The outcome; its :attr:`Outcome.missing` lists all that is missing, not only the first. Of a run whose
        ``working/`` or ``products/`` is a symbolic link it says only that.

    Raises:
        StorageUnavailable: something cannot be looked at now, so that nothing is concluded.
    """
    try:
        return _judged(directory, commands, started_at, raw_data, exit_code, science_images)
    except UnsafeFile as error:
        return Outcome(missing=(str(error),))


def _judged(
    directory: RunDirectory,
    commands: Sequence[str],
    started_at: datetime,
    raw_data: Sequence[FetchedFile],
    exit_code: int | None,
    science_images: Sequence[str] | None,
) -> Outcome:
    log = end_of_log(directory, _LOG_LINES)
    errorexit = find_errorexit(directory, started_at)
    manifest, manifest_gaps = _document(directory, "*pipeline_manifest.xml", MANIFEST, read_manifest)
    report, report_gaps = _document(directory, "*pipeline_aquareport.xml", AQUA_REPORT, read_aqua_report)
    restore_gaps = [*_restore_gaps(manifest), *table_gaps(directory.products, manifest)] if manifest else []
    not_run = _not_run(commands, report) if report else []
    missing = [
        *_errorexit_gap(log, errorexit),
        *(_exit_gap(log, exit_code) if exit_code and not (errorexit or report) else ()),
        *raw_data_differences(directory, raw_data),
        *manifest_gaps,
        *(_product_gaps(directory, manifest) if manifest else ()),
        *(restore_gaps if science_images is None else ()),
        *(_image_gaps(manifest, science_images) if manifest and science_images is not None else ()),
        *report_gaps,
        *_request_gaps(commands),
        *(f"Stage {quoted(name)} of the PPR is not in the AQUA report: it did not run to its end." for name in not_run),
    ]
    lowest = report.lowest if report else None
    return Outcome(
        missing=_first_sentences(missing),
        warnings=_first_sentences(_warnings(report, exit_code)),
        casa_version=(report and report.casa_version) or (manifest and manifest.casa_version) or None,
        pipeline_version=(report and report.pipeline_version) or (manifest and manifest.pipeline_version) or None,
        stages=report.stages if report else (),
        lowest=lowest,
        band=band(lowest.score if lowest else None),
        restorable=manifest is not None and not restore_gaps,
        failed_stage=_failed_stage(log, not_run, report) if missing else None,
        errorexit=errorexit.name if errorexit else None,
        log_tail=log.tail,
    )


def find_errorexit(directory: RunDirectory, started_at: datetime) -> Path | None:
    """Return the first file by which the pipeline says that it failed after the start, or ``None``.

    Args:
        directory: the run's directory.
        started_at: when CASA was started; any zone.

    Raises:
        UnsafeFile: ``working/`` or ``products/`` is a symbolic link.
        LocalFilesError: one cannot be looked into.
    """
    # The file's name, by the clock of CASA's host, has seconds only; its time is by the clock of the file server.
    start = started_at.astimezone(UTC).replace(microsecond=0)
    for folder in (directory.working, directory.products):
        for path in list_shared(directory.root, folder, "errorexit-*.txt"):
            facts = look_at(directory.root, path)
            written = datetime.fromtimestamp(facts.st_mtime, UTC) if facts else start
            if max(_time_in_name(path), written) >= start:
                return path
    return None


def _time_in_name(path: Path) -> datetime:
    try:
        return datetime.strptime(path.stem, "errorexit-%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _errorexit_gap(log: EndOfLog, errorexit: Path | None) -> Iterator[str]:
    if not errorexit:
        return
    left = f"The pipeline left {quoted(errorexit.name)} in {errorexit.parent.name}/"
    if log.error and log.stage:
        number = f", stage {log.stage.number}," if log.stage.number else ""
        yield f"{left}: {quoted(log.stage.task)}{number} failed with {quoted(log.error[-1], 300)}."
    else:
        yield f"{left}: a stage failed, or it could not use the PPR."


def _exit_gap(log: EndOfLog, exit_code: int) -> Iterator[str]:
    where = f"in the stage {quoted(log.stage.task)}" if log.stage and log.stage.task else "before the first stage"
    yield (
        f"CASA exited with status {exit_code} {where} and the pipeline left no errorexit file: what CASA wrote to its "
        "standard error says why."
    )


def _document(
    directory: RunDirectory, pattern: str, kind: FileKind, read: Callable[[bytes, str], Document]
) -> tuple[Document | None, list[str]]:
    paths = list_shared(directory.root, directory.products, pattern)
    what = kind.name.removeprefix("the ")
    if len(paths) != 1:
        found = f"{len(paths)} {what}s ({', '.join(quoted(path.name) for path in paths)})" if paths else f"no {what}"
        return None, [f"products/ holds {found}, where the export stage leaves one {pattern}."]
    try:
        return read(read_shared(directory.root, paths[0], kind), f"products/{paths[0].name}"), []
    except StorageUnavailable:
        raise
    except (InvalidInput, LocalFilesError) as error:
        return None, [str(error)]
    except FileNotFoundError:
        return None, [f"products/{paths[0].name} was removed while the run was judged."]


def _product_gaps(directory: RunDirectory, manifest: Manifest) -> Iterator[str]:
    for product in manifest.products:
        yield from _product_gap(directory, product.name)
    for element in manifest.undefined:
        if element not in RESTORE_KINDS:
            yield f"The pipeline did not make its {quoted(element)}: the manifest calls it Undefined."


def _product_gap(directory: RunDirectory, name: str) -> Iterator[str]:
    refused = f"The manifest names {quoted(name)}, which is outside products/ or behind a link: refused."
    try:
        found = look_at(directory.products, directory.products / name)
    except UnsafeFile:
        yield refused
        return
    except StorageUnavailable:
        raise
    except LocalFilesError:
        yield f"{quoted(name)}, which the manifest names, is not a name that the file system takes."
        return
    if found is None:
        yield f"products/ lacks {quoted(name)}, which the manifest names."
    elif stat.S_ISLNK(found.st_mode):
        yield refused
    elif not stat.S_ISREG(found.st_mode):
        yield f"{quoted(name)} in products/, which the manifest names, is no regular file."
    elif found.st_size == 0:
        yield f"{quoted(name)} in products/, which the manifest names, is empty."


def _restore_gaps(manifest: Manifest) -> Iterator[str]:
    for kind in manifest.missing_for_a_restore:
        yield f"The pipeline made no {kind}, or not for every session and observation: the result cannot be restored."


def _image_gaps(manifest: Manifest, patterns: Sequence[str]) -> Iterator[str]:
    images = [product.name for product in manifest.products if product.element == _IMAGE]
    if not images:
        yield "The manifest names no image."
    elif not any(fnmatchcase(PurePosixPath(name).name, pattern) for name in images for pattern in patterns):
        yield (
            f"None of the {len(images)} images that the manifest names is a science image, which is called "
            f"{' or '.join(quoted(pattern) for pattern in patterns)}."
        )


def _not_run(commands: Sequence[str], report: AquaReport) -> list[str]:
    # An export writes the report, so that it is never in its own; the last of several has the others in it.
    exports = [place for place, name in enumerate(commands) if name.endswith(_EXPORT_SUFFIX)]
    wanted = Counter(commands[: exports[-1]] if exports else commands)
    wanted.subtract(stage.name for stage in report.stages)
    return [name for name, times in wanted.items() for _ in range(max(times, 0))]


def _request_gaps(commands: Sequence[str]) -> Iterator[str]:
    if not commands:
        yield "The PPR has no stage that the pipeline's reader would run."
    elif not any(name.endswith(_EXPORT_SUFFIX) for name in commands):
        yield "The PPR has no export stage that the pipeline's reader would run."


def _warnings(report: AquaReport | None, exit_code: int | None) -> Iterator[str]:
    if exit_code:
        yield f"CASA exited with status {exit_code}."
    if report is None:
        return
    for stage in report.stages:
        if stage.raw_score:
            yield (
                f"The AQUA report gives stage {stage.number}, {quoted(stage.name)}, the QA score {stage.raw_score}, "
                f"which is not between -0.1 and 1: it is recorded as {stage.score:g}, look at the weblog."
            )
        elif stage.scorer_crashed:
            yield f"The QA score of stage {stage.number}, {quoted(stage.name)}, could not be computed by the pipeline."
    if report.lowest is None:
        yield "No stage has a QA score."


def _first_sentences(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return sentences as they may go into the ledger and a mail: a manifest may name as much as it likes."""
    found = list(sentences)
    more = len(found) - MOST_FAULTS
    first = tuple(shortened(sentence, SrdpError.longest) for sentence in found[:MOST_FAULTS])
    return (*first, f"And {more} more.") if more > 0 else first


def _failed_stage(log: EndOfLog, not_run: Sequence[str], report: AquaReport | None) -> str | None:
    stopped = report is None or not_run or log.error
    return log.stage.task if stopped and log.stage and log.stage.task else next(iter(not_run), None)
