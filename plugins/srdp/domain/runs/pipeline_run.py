"""A pipeline run's places: the value from which every path of a run is derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from srdp.domain.common.errors import SrdpError
from srdp.domain.files.shared_folders import is_folder, look_at
from srdp.domain.runs.areas import check_area_is_there
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id


class RunDirectoryMissing(SrdpError):
    """A run has a directory neither in the processing area nor in the QA area."""


@dataclass(frozen=True)
class Areas:
    """The roots that run directories are in.

    Attributes:
        processing: where runs are fetched and calibrated.
        qa: where runs wait for the verdict of a data analyst.
        spool: where jobs keep their records; not a place for products.
        own: the processing area and the QA area of the runs whose IDs begin so, if they have others.
    """

    processing: Path
    qa: Path
    spool: Path
    own: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)

    @property
    def roots(self) -> tuple[Path, ...]:
        """Every root that holds run directories, each once."""
        return tuple(dict.fromkeys((self.processing, self.qa, *chain.from_iterable(self.own.values()))))

    def of_run(self, run_id: PipelineRunId) -> tuple[Path, Path]:
        """Return the processing area and the QA area of a run."""
        return self.of_prefix(run_id.partition("-")[0])

    def of_prefix(self, prefix: str) -> tuple[Path, Path]:
        """Return the processing area and the QA area of the runs whose IDs begin with a family's name."""
        return self.own.get(prefix, (self.processing, self.qa))


@dataclass(frozen=True)
class RunDirectory:
    """One run's directory, wherever it is, and the places inside it.

    Attributes:
        root: the directory itself; its name is the pipeline run ID.
    """

    root: Path

    @property
    def pipeline_run_id(self) -> PipelineRunId:
        """The run that this directory belongs to."""
        return pipeline_run_id(self.root.name)

    @property
    def is_there(self) -> bool:
        """Whether anything has the directory's name; a symbolic link is something, too.

        Raises:
            LocalFilesError: that cannot be found out.
        """
        return look_at(self.root, self.root) is not None

    @property
    def rawdata(self) -> Path:
        """What was fetched from NGAS; CASA reads it and never writes it."""
        return self.root / "rawdata"

    @property
    def working(self) -> Path:
        """Where CASA runs, and where an analyst's files are staged."""
        return self.root / "working"

    @property
    def products(self) -> Path:
        """What the pipeline's export stage leaves."""
        return self.root / "products"

    @property
    def processing_request(self) -> Path:
        """The PPR that CASA is started with."""
        return self.working / "PPR.xml"


def processing_directory(areas: Areas, run_id: PipelineRunId) -> RunDirectory:
    """Return the run's directory in the processing area, whether it exists or not."""
    return RunDirectory(areas.of_run(pipeline_run_id(run_id))[0] / run_id)


def qa_directory(areas: Areas, run_id: PipelineRunId) -> RunDirectory:
    """Return the run's directory in the QA area, whether it exists or not."""
    return RunDirectory(areas.of_run(pipeline_run_id(run_id))[1] / run_id)


def spool_directory(areas: Areas, run_id: PipelineRunId) -> Path:
    """Return the directory in which the run's jobs keep their records."""
    return areas.spool / pipeline_run_id(run_id)


def find_run_directory(areas: Areas, run_id: PipelineRunId) -> RunDirectory:
    """Return the run's directory from where it is now: its place is found by looking, not remembered.

    Raises:
        RunDirectoryMissing: it is in neither area.
        StorageUnavailable: an area is not there, so that it may be in it.
    """
    for candidate in (qa_directory(areas, run_id), processing_directory(areas, run_id)):
        if is_folder(candidate.root, candidate.root):
            return candidate
    processing, qa = areas.of_run(run_id)
    for area in (qa, processing):
        check_area_is_there(area)
    raise RunDirectoryMissing(
        f"Pipeline run {run_id} has no directory in {qa} or {processing}: it was removed, or the areas in the settings "
        "are not those that it was made with."
    )
