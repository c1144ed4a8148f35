"""The outcome of a CASA run: proved by what it left, because its exit status proves nothing.

A success is all of: no ``errorexit`` file newer than the start; a manifest of which every file is there and not empty;
every stage of the PPR before the last export in the AQUA report; raw data that are still what was fetched. What the
manifest has to name besides depends on what is made: all that a restore needs, or a science image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TypeVar

from srdp.domain.aqua_report import AquaReport, Band, StageScore, band, read_aqua_report
from srdp.domain.calibration_tables import table_gaps
from srdp.domain.casa_log import find_casa_log, pipeline_error, running_stage, tail_of_log
from srdp.domain.errors import InvalidInput, SrdpError, quoted
from srdp.domain.ledger_records import FetchedFile
from srdp.domain.manifest import RESTORE_KINDS, Manifest, read_manifest
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.raw_data import raw_data_differences
from srdp.domain.storage import listed, raise_if_it_heals

_EXPORT_SUFFIX = "_exportdata"
_IMAGE = "image"
_LARGEST_XML_BYTES = 20_000_001
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
        band: the band that the lowest score lies in.
        restorable: whether the manifest names all that a restore needs.
        failed_stage: of a run that is not proved, the stage in which it stopped, as CASA's log says; else the first
            that is not in the report; ``None`` if neither is known.
        errorexit: the name of the pipeline's ``errorexit`` file; ``None`` if there is none.
        log_tail: the last lines of CASA's log.
    """

    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    casa_version: str | None
    pipeline_version: str | None
    stages: tuple[StageScore, ...]
    lowest: StageScore | None
    band: Band
    restorable: bool
    failed_stage: str | None
    errorexit: str | None
    log_tail: tuple[str, ...]

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
        directory: the run's directory, from where it lies now.
        commands: the stages that the pipeline runs of the PPR, in their order; none that it drops or passes over.
        started_at: when CASA was started; any zone.
        raw_data: what was recorded of the raw data when they were fetched or linked. One that was changed since is a
            gap: nobody knows which bytes CASA has read, and a linked file has changed in the former run too.
        exit_code: what CASA exited with. It is no proof and no refutation (CASA has been seen to crash after its last
            stage): one other than 0 is a warning.
        science_images: shell patterns of the images that users want, of which the manifest must name one, where the
            recipe makes images from a calibration that exists. None: it makes a calibration, and the products must
            suffice to restore that.

    Returns:
        The outcome; its :attr:`Outcome.missing` lists all that is missing, not only the first.

    Raises:
        StorageUnavailable: something cannot be looked at now, so that nothing is concluded.
    """
    errorexit = find_errorexit(directory, started_at)
    manifest, manifest_gaps = _document(directory, "*pipeline_manifest.xml", "manifest", read_manifest)
    report, report_gaps = _document(directory, "*pipeline_aquareport.xml", "AQUA report", read_aqua_report)
    restore_gaps = [*_restore_gaps(manifest), *table_gaps(directory.products, manifest)] if manifest else []
    not_run = _not_run(commands, report) if report else []
    missing = [
        *_errorexit_gap(directory, errorexit),
        *(_exit_gap(directory, exit_code) if exit_code and not (errorexit or report) else ()),
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
        missing=tuple(missing),
        warnings=tuple(_warnings(report, exit_code)),
        casa_version=(report and report.casa_version) or (manifest and manifest.casa_version) or None,
        pipeline_version=(report and report.pipeline_version) or (manifest and manifest.pipeline_version) or None,
        stages=report.stages if report else (),
        lowest=lowest,
        band=band(lowest.score if lowest else None),
        restorable=manifest is not None and not restore_gaps,
        failed_stage=_failed_stage(directory, not_run, report) if missing else None,
        errorexit=errorexit.name if errorexit else None,
        log_tail=log_tail(directory),
    )


def log_tail(directory: RunDirectory, lines: int = _LOG_LINES) -> tuple[str, ...]:
    """Returns the last lines of the run's CASA log; none if it has no log.

    Args:
        directory: the run's directory.
        lines: how many lines at most.
    """
    log = find_casa_log(directory)
    return tail_of_log(log, lines) if log else ()


def find_errorexit(directory: RunDirectory, started_at: datetime) -> Path | None:
    """Returns the first file by which the pipeline says that it failed after the start, or ``None``.

    Args:
        directory: the run's directory.
        started_at: when CASA was started; any zone.
    """
    # The file's name, by the clock of CASA's host, has seconds only; its time is by the clock of the file server.
    start = started_at.astimezone(UTC).replace(microsecond=0)
    found = [
        path
        for folder in (directory.working, directory.products)
        for path in listed(folder, "errorexit-*.txt")
        if max(_time_in_name(path), datetime.fromtimestamp(path.lstat().st_mtime, UTC)) >= start
    ]
    return found[0] if found else None


def _time_in_name(path: Path) -> datetime:
    try:
        return datetime.strptime(path.stem, "errorexit-%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _errorexit_gap(directory: RunDirectory, errorexit: Path | None) -> Iterator[str]:
    if not errorexit:
        return
    left = f"The pipeline left {quoted(errorexit.name)} in {errorexit.parent.name}/"
    log = find_casa_log(directory)
    error = pipeline_error(log) if log else ()
    stage = running_stage(log) if log else None
    if error and stage:
        number = f", stage {stage.number}," if stage.number else ""
        yield f"{left}: {quoted(stage.task)}{number} failed with {quoted(error[-1], 300)}."
    else:
        yield f"{left}: a stage failed, or it could not use the PPR."


def _exit_gap(directory: RunDirectory, exit_code: int) -> Iterator[str]:
    log = find_casa_log(directory)
    stage = running_stage(log) if log else None
    where = f"in the stage {quoted(stage.task)}" if stage and stage.task else "before the first stage"
    yield (
        f"CASA exited with status {exit_code} {where} and the pipeline left no errorexit file: what CASA wrote to its "
        "standard error says why."
    )


def _document(
    directory: RunDirectory, pattern: str, what: str, read: Callable[[bytes, str], Document]
) -> tuple[Document | None, list[str]]:
    paths = listed(directory.products, pattern)
    if len(paths) != 1:
        found = f"{len(paths)} {what}s ({', '.join(quoted(path.name) for path in paths)})" if paths else f"no {what}"
        return None, [f"products/ holds {found}, where the export stage leaves one {pattern}."]
    try:
        with paths[0].open("rb") as stream:
            return read(stream.read(_LARGEST_XML_BYTES), f"products/{paths[0].name}"), []
    except InvalidInput as error:
        return None, [str(error)]
    except OSError as error:
        raise_if_it_heals(error, paths[0])
        return None, [f"products/{paths[0].name} cannot be read: {error.strerror}."]


def _product_gaps(directory: RunDirectory, manifest: Manifest) -> Iterator[str]:
    for product in manifest.products:
        name = PurePosixPath(product.name)
        path = directory.products / name
        try:
            inside = not name.is_absolute() and path.resolve().is_relative_to(directory.products.resolve())
            if not inside:
                yield f"The manifest names {quoted(product.name)}, which is outside products/: refused."
            elif not path.is_file():
                yield f"products/ lacks {quoted(product.name)}, which the manifest names."
            elif path.stat().st_size == 0:
                yield f"{quoted(product.name)} in products/, which the manifest names, is empty."
        except OSError as error:
            raise_if_it_heals(error, directory.products)
            yield f"{quoted(product.name)}, which the manifest names, cannot be looked at: {error.strerror}."
    for element in manifest.undefined:
        if element not in RESTORE_KINDS:
            yield f"The pipeline did not make its {quoted(element)}: the manifest calls it Undefined."


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
        if stage.scorer_crashed:
            yield f"The QA score of stage {stage.number}, {quoted(stage.name)}, could not be computed by the pipeline."
    if report.lowest is None:
        yield "No stage has a QA score."


def _failed_stage(directory: RunDirectory, not_run: Sequence[str], report: AquaReport | None) -> str | None:
    log = find_casa_log(directory)
    stopped = log is not None and (report is None or not_run or pipeline_error(log))
    stage = running_stage(log) if log is not None and stopped else None
    return stage.task if stage and stage.task else next(iter(not_run), None)
