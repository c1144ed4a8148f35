"""What ALMA's recipe images: the targets' data, what the images are to be like, and the list of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sandbox.pipeline.observation import Observation, SpectralWindow
from sandbox.pipeline.sizes import Geometry

#: How the images of a mode are distinguished in the names of products.
MODES = ("cont", "mfs", "cube")
#: The calibration that images are made from: the regular one, or the self-calibration. By what CASA calls the data.
DATATYPES = {"regcal": "data", "selfcal": "corrected"}


class UnknownTargetError(Exception):
    """A PPR names a field or a spectral window that was not observed as a target."""


@dataclass(frozen=True)
class CleanTarget:
    """An image that is to be made.

    Attributes:
        name: the stem of its files' names, for example ``uid___A001_X1_X2.M100_sci.spw0.cube.regcal.I``.
        field: the field's name.
        windows: the spectral windows' numbers.
        mode: one of :data:`MODES`: all windows' continuum, one window's, or a cube.
        geometry: pixels and cells.
        robust: Briggs' parameter.
        datatype: one of :data:`DATATYPES`.
        rest_frequency: of a cube's line, with its unit; empty for the middle of the window.
        start: a cube's first channel, as number, frequency or velocity; empty for the window's first.
        width: of a cube's channels, as number, frequency or velocity; empty for the data's own.
        channels: how many a cube has; -1 for all.
    """

    name: str
    field: str
    windows: tuple[int, ...]
    mode: str
    geometry: Geometry
    robust: float
    datatype: str = "regcal"
    rest_frequency: str = ""
    start: str | int = ""
    width: str | int = ""
    channels: int = -1


@dataclass
class Targets:
    """The calibrated data of a MOUS's targets, and what became of them.

    Attributes:
        observations: what was observed, by the name of the measurement set that holds nothing but the targets.
        dish: diameter of the antennas in metres.
        line: the measurement sets without continuum, by the name of those with it; empty if there are none.
        self_calibrated: the fields with self-calibrated data.
        robust: Briggs' parameter for all images.
        taper: CASA's ``uvtaper`` for all images; empty for none.
        beam: the angular resolution that was measured, in arcseconds; 0 if it was not.
        pixels_per_beam: how finely the images are sampled.
        level: the part of the primary beam's gain at which the images end.
        listed: the images that the next ``hif_makeimages`` makes.
    """

    observations: dict[str, Observation] = field(default_factory=dict)
    dish: float = 12.0
    line: dict[str, str] = field(default_factory=dict)
    self_calibrated: set[str] = field(default_factory=set)
    robust: float = 0.5
    taper: str = ""
    beam: float = 0.0
    pixels_per_beam: float = 5.0
    level: float = 0.2
    listed: list[CleanTarget] = field(default_factory=list)

    @property
    def fields(self) -> tuple[str, ...]:
        """The targets' names, each once."""
        return tuple(dict.fromkeys(target.name for one in self.observations.values() for target in one.targets))

    @property
    def windows(self) -> dict[int, SpectralWindow]:
        """The spectral windows by their numbers, as the first measurement set has them."""
        first = next(iter(self.observations.values()))
        return {window.number: window for window in first.spectral_windows}

    def field_numbers(self, name: str) -> list[str]:
        """Return CASA's selections of a field in each of the measurement sets.

        By numbers, as CASA takes some names for numbers or patterns.
        """
        return [
            ",".join(str(target.number) for target in one.targets if target.name == name)
            for one in self.observations.values()
        ]

    def geometry(self) -> Geometry:
        """Return the images' pixels and cells."""
        window = max(self.windows.values(), key=lambda one: one.centre)
        longest = max(one.longest_baseline for one in self.observations.values())
        return Geometry.of(
            frequency=window.centre,
            longest_baseline=longest,
            dish=self.dish,
            beam=self.beam,
            pixels_per_beam=self.pixels_per_beam,
            level=self.level,
        )

    def choose_fields(self, names: object) -> tuple[str, ...]:
        """Return the targets that a parameter of a PPR names; all if it names none.

        Args:
            names: names with commas between, in double quotes where they have to be; a number, if the reader of the
                PPR has taken a name for one.

        Raises:
            UnknownTargetError: a name is no target's.
        """
        text = _as_text(names)
        if text in self.fields:  # a name may hold a comma
            return (text,)
        # As the pipeline, which compares names without quotes.
        parts = re.findall(r'\s*("[^"]*"|[^,]+)\s*(?:,|$)', text)
        chosen = tuple(part.strip().strip('"') for part in parts if part.strip()) or self.fields
        for name in chosen:
            if name not in self.fields:
                raise UnknownTargetError(f"{name!r} is no target of these data: those are {', '.join(self.fields)}.")
        return chosen

    def choose_windows(self, numbers: object) -> tuple[int, ...]:
        """Return the spectral windows that a parameter of a PPR names; all if it names none.

        Args:
            numbers: numbers with commas between.

        Raises:
            UnknownTargetError: a number is none of a spectral window.
        """
        parts = [part.strip() for part in _as_text(numbers).split(",") if part.strip()]
        known = {str(number): number for number in self.windows}
        for part in parts:
            if part not in known:
                raise UnknownTargetError(
                    f"{part!r} is no spectral window of the targets: those are {', '.join(known)}."
                )
        return tuple(known[part] for part in parts) or tuple(self.windows)

    def choose_datatype(self, wanted: object, name: str) -> str | None:
        """Return which calibration a field is imaged from; None if it has no data of that which is wanted.

        Args:
            wanted: a parameter of a PPR: one of :data:`DATATYPES`; empty or ``best`` for the best that there is.
            name: the field's name.

        Raises:
            ValueError: it is no type of data.
        """
        text = str(wanted).lower()
        if text in {"", "best"}:
            return "selfcal" if name in self.self_calibrated else "regcal"
        if text not in DATATYPES:
            raise ValueError(f"datatype is {wanted!r}, it must be one of {', '.join(DATATYPES)} or best")
        return None if text == "selfcal" and name not in self.self_calibrated else text


def image_name(mous: str, name: str, windows: tuple[int, ...], mode: str, datatype: str) -> str:
    """Return the stem of the names of an image's files; images that differ in nothing else share it.

    Args:
        mous: the MOUS, as on disk.
        name: the field's name.
        windows: the spectral windows.
        mode: one of :data:`MODES`.
        datatype: one of :data:`DATATYPES`.
    """
    quoted = name if re.fullmatch(r"(?!\d+$)[A-Za-z0-9_+-]+", name) else f'"{name}"'
    safe = re.sub(r"[^A-Za-z0-9_.+-]", "_", quoted)
    return f"{mous}.{safe}_sci.spw{'_'.join(map(str, windows))}.{mode}.{datatype}.I"


def _as_text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    return str(value)
