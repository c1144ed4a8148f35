"""The state of a pipeline run: what its stages know of each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sandbox.pipeline.casa_calls import CasaCalls
from sandbox.pipeline.flux_file import FluxDensity
from sandbox.pipeline.observation import Observation
from sandbox.pipeline.ppr import ProcessingRequest
from sandbox.pipeline.results import Figure, StageRecord, StageResult
from sandbox.pipeline.targets import Targets

#: The version of this pipeline, as manifest and AQUA report give it.
PIPELINE_VERSION = "sandbox-1.0"


class StageOrderError(Exception):
    """A stage needs what an earlier stage, which the PPR does not name, would have made."""


@dataclass(frozen=True)
class Directories:
    """Where a run reads and writes; absolute.

    Attributes:
        working: where CASA runs.
        rawdata: where the SDMs are.
        products: where the products go.
    """

    working: Path
    rawdata: Path
    products: Path


@dataclass(frozen=True)
class Calibration:
    """A calibration table and how it is applied.

    Attributes:
        table: its name in the working directory.
        per_field: its solutions belong to one field each; else all its solutions apply to all fields.
    """

    table: str
    per_field: bool = False


@dataclass(frozen=True)
class ImageRequest:
    """An image that is to be made.

    Attributes:
        field: the field's name.
        suffix: what it was observed for, in the names of products: ``ph``, ``bp``, ``flux``, ``sci``.
        pixels: width and height.
        cell: size of a pixel in arcseconds.
    """

    field: str
    suffix: str
    pixels: int
    cell: float


@dataclass
class Context:
    """One run.

    Attributes:
        request: the PPR.
        directories: the run's places; the process works in the working directory.
        started: when the run began, UTC.
        stages: the stages that have run.
        ocorr_mode: the correlations that were imported, in CASA's words.
        calibration: the tables that hold now, by what they correct: ``antenna positions``, ``gain curve``,
            ``bandpass``, ``phase``, ``amplitude``; in the order of application.
        flux_densities: the rows of ``flux.csv``.
        bootstrapped: flux densities that were derived, in Jy with their errors, by field.
        applied: the calls that applied the final calibration, as arguments of ``applycal``.
        weighted: the calls that set the weights of the calibrated data, as arguments of ``statwt``.
        image_requests: the images that are to be made.
        images: the image files, ready for export.
        targets: what ALMA's recipe images.
    """

    request: ProcessingRequest
    directories: Directories
    started: datetime
    stages: list[StageRecord] = field(default_factory=list)
    ocorr_mode: str = "co"
    calibration: dict[str, Calibration] = field(default_factory=dict)
    flux_densities: tuple[FluxDensity, ...] = ()
    bootstrapped: dict[str, tuple[float, float]] = field(default_factory=dict)
    applied: list[dict[str, object]] = field(default_factory=list)
    weighted: list[dict[str, object]] = field(default_factory=list)
    image_requests: list[ImageRequest] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    targets: Targets = field(default_factory=Targets)
    _observation: Observation | None = None
    _reference_antenna: str = ""

    def __post_init__(self) -> None:
        self.html.mkdir(parents=True, exist_ok=True)
        self.casa = CasaCalls(self.html / "casa_commands.log")

    @property
    def name(self) -> str:
        """The run's name, which is its weblog's directory: ``pipeline-20260101T000000``."""
        return f"pipeline-{self.started:%Y%m%dT%H%M%S}"

    @property
    def html(self) -> Path:
        """Where the weblog is."""
        return self.directories.working / self.name / "html"

    @property
    def sdm(self) -> str:
        """The execution block."""
        return self.request.sdms[0]

    @property
    def vis(self) -> str:
        """Name of the measurement set in the working directory."""
        return f"{self.sdm}.ms"

    @property
    def subject(self) -> str:
        """What the run is of, for people: the execution block, or ALMA's MOUS."""
        return self.request.ous or self.sdm

    @property
    def stage_number(self) -> int:
        """The number of the stage that runs now."""
        return len(self.stages) + 1

    @property
    def observation(self) -> Observation:
        """The measurement set that was imported."""
        if self._observation is None:
            raise StageOrderError("No data were imported: the PPR names no stage before this one that does it.")
        return self._observation

    @observation.setter
    def observation(self, observation: Observation) -> None:
        self._observation = observation

    @property
    def reference_antenna(self) -> str:
        """The antenna whose phases are zero."""
        if not self._reference_antenna:
            raise StageOrderError("No reference antenna was chosen: the PPR names no hifv_testBPdcals before this.")
        return self._reference_antenna

    @reference_antenna.setter
    def reference_antenna(self, name: str) -> None:
        self._reference_antenna = name

    def table_name(self, what: str) -> str:
        """Return the name of a calibration table that the stage makes."""
        task = self.request.commands[self.stage_number - 1].task
        return f"{self.vis}.{task}.s{self.stage_number}.{what}.tbl"

    def figure(self, file: str, caption: str, draw: Callable[[Path], None]) -> Figure:
        """Draws a figure into the stage's folder of the weblog.

        Args:
            file: the figure's file name.
            caption: what it shows.
            draw: writes the picture to the path that it is given.
        """
        folder = self.html / f"stage{self.stage_number}"
        folder.mkdir(exist_ok=True)
        draw(folder / file)
        return Figure(file, caption)


#: A stage: a function of the run, and of the parameters that a PPR may give it as keyword arguments.
Stage = Callable[..., StageResult]


def directories_of(relative_path: str, environment: Mapping[str, str]) -> Directories:
    """Return a run's directories.

    With ``SCIPIPE_ROOTDIR`` in the environment, even empty, they are below it at the PPR's ``RelativePath``; without
    it they are beside the present directory.

    Args:
        relative_path: the PPR's ``RelativePath``.
        environment: the process's environment.
    """
    root = Path(environment["SCIPIPE_ROOTDIR"]) / relative_path if "SCIPIPE_ROOTDIR" in environment else Path("..")
    root = Path(os.path.abspath(root))  # noqa: PTH100  resolve() would follow a link that stands for the run directory
    return Directories(root / "working", root / "rawdata", root / "products")


def now() -> datetime:
    """Return the present, UTC."""
    return datetime.now(UTC)
