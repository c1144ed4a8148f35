"""What a measurement set says about the observation: fields and their intents, scans, antennas, spectral windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sandbox.pipeline.tables import open_table

_MODIFIED_JULIAN_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_SPEED_OF_LIGHT = 299_792_458.0  # m/s
# Where the VLA's bands end, in GHz.
_BANDS = (
    *((0.12, "4"), (0.9, "P"), (2.0, "L"), (4.0, "S"), (8.0, "C"), (12.0, "X"), (18.0, "Ku"), (26.5, "K")),
    (40.0, "Ka"),
)
# The part of a band, at each of its edges, that is left out of gain solutions.
_EDGE = 0.1


@dataclass(frozen=True)
class Field:
    """A direction that was observed, with what it was observed for (for example ``CALIBRATE_PHASE``)."""

    number: int
    name: str
    intents: frozenset[str]


@dataclass(frozen=True)
class Scan:
    """A scan; times in seconds of the modified Julian date, as everywhere in a measurement set."""

    number: int
    field: int
    start: float
    end: float


@dataclass(frozen=True)
class Antenna:
    """An antenna and where it stands, in metres from the origin of the terrestrial frame."""

    name: str
    station: str
    position: tuple[float, float, float]


@dataclass(frozen=True)
class SpectralWindow:
    """A spectral window; frequencies in Hz."""

    number: int
    channels: int
    centre: float
    channel_width: float

    @property
    def inner_channels(self) -> str:
        """The window without its edges, as CASA's selection: ``0:6~56``."""
        edge = int(_EDGE * self.channels)
        return f"{self.number}:{edge}~{self.channels - 1 - edge}"


@dataclass(frozen=True)
class Observation:
    """One measurement set.

    Attributes:
        vis: its name in the working directory.
        telescope: the telescope's name as the data give it.
        integration: length of an integration in seconds.
        fields: all fields.
        scans: all scans in the order of time.
        antennas: all antennas, at the place that is their number.
        spectral_windows: all spectral windows.
    """

    vis: str
    telescope: str
    integration: float
    fields: tuple[Field, ...]
    scans: tuple[Scan, ...]
    antennas: tuple[Antenna, ...]
    spectral_windows: tuple[SpectralWindow, ...]

    def fields_for(self, intent: str) -> tuple[Field, ...]:
        """Return the fields that were observed for an intent, for example ``CALIBRATE_FLUX``."""
        return tuple(field for field in self.fields if intent in field.intents)

    @property
    def flux_calibrators(self) -> tuple[Field, ...]:
        """The fields whose flux density is known."""
        return self.fields_for("CALIBRATE_FLUX")

    @property
    def bandpass_calibrators(self) -> tuple[Field, ...]:
        """The fields that the bandpass is solved on."""
        return self.fields_for("CALIBRATE_BANDPASS")

    @property
    def phase_calibrators(self) -> tuple[Field, ...]:
        """The fields that the gains are transferred from, to the targets."""
        return self.fields_for("CALIBRATE_PHASE")

    @property
    def calibrators(self) -> tuple[Field, ...]:
        """All calibrators, each once."""
        return tuple(field for field in self.fields if any(name.startswith("CALIBRATE_") for name in field.intents))

    @property
    def targets(self) -> tuple[Field, ...]:
        """The fields that the observation was made for."""
        return self.fields_for("OBSERVE_TARGET")

    @property
    def inner_channels(self) -> str:
        """All spectral windows without their edges, as CASA's selection."""
        return ",".join(window.inner_channels for window in self.spectral_windows)

    @property
    def longest_baseline(self) -> float:
        """The largest distance of two antennas, in metres."""
        positions = [antenna.position for antenna in self.antennas]
        return max(_distance(one, other) for one in positions for other in positions)

    @property
    def synthesized_beam(self) -> float:
        """About the angular resolution, in arcseconds."""
        wavelength = _SPEED_OF_LIGHT / self.spectral_windows[0].centre
        return 206_265.0 * wavelength / self.longest_baseline

    @property
    def primary_beam(self) -> float:
        """About the width of the primary beam of a 25 m antenna at half power, in arcseconds."""
        return 60.0 * 45.0e9 / self.spectral_windows[0].centre  # 45 arcminutes at 1 GHz

    @property
    def band(self) -> str:
        """The VLA's name of the band of the first window, for example ``L``."""
        gigahertz = self.spectral_windows[0].centre / 1e9
        return next((name for upper, name in _BANDS if gigahertz < upper), "Q")

    @property
    def start(self) -> datetime:
        """The beginning of the first scan, UTC."""
        return utc(min(scan.start for scan in self.scans))

    @property
    def end(self) -> datetime:
        """The end of the last scan, UTC."""
        return utc(max(scan.end for scan in self.scans))


def utc(seconds: float) -> datetime:
    """Return a measurement set's time as UTC."""
    return _MODIFIED_JULIAN_EPOCH + timedelta(seconds=seconds)


def names(fields: tuple[Field, ...]) -> str:
    """Return fields as CASA's selection."""
    return ",".join(field.name for field in fields)


def choose_reference_antenna(antennas: tuple[Antenna, ...], flagged: Mapping[str, float]) -> str:
    """Return the antenna nearest to the middle of the array that has lost the least data.

    Args:
        antennas: the array.
        flagged: the flagged part of each antenna's data, from 0 to 1.
    """
    x, y, z = (median(antenna.position[axis] for antenna in antennas) for axis in range(3))
    distances = {antenna.name: _distance(antenna.position, (x, y, z)) for antenna in antennas}
    furthest = max(distances.values()) or 1.0
    return min(distances, key=lambda name: (distances[name] / furthest + flagged.get(name, 0.0), name))


def read_observation(vis: str) -> Observation:
    """Read what the pipeline has to know about a measurement set.

    Args:
        vis: the measurement set's directory.
    """
    import casatools

    metadata = casatools.msmetadata()
    metadata.open(vis)
    try:
        fields = tuple(
            Field(number, str(name), frozenset(intent.partition("#")[0] for intent in metadata.intentsforfield(number)))
            for number, name in enumerate(metadata.fieldnames())
        )
        scans = tuple(_scan(metadata, int(number)) for number in metadata.scannumbers())
        windows = tuple(_window(metadata, number) for number in range(metadata.nspw()))
        telescope = str(metadata.observatorynames()[0])
    finally:
        metadata.done()
    with open_table(f"{vis}/ANTENNA") as table:
        positions = table.getcol("POSITION")
        antennas = tuple(
            Antenna(str(name), str(station), (float(x), float(y), float(z)))
            for name, station, x, y, z in zip(table.getcol("NAME"), table.getcol("STATION"), *positions, strict=True)
        )
    with open_table(vis) as table:
        integration = float(table.getcell("INTERVAL", 0))
    return Observation(vis, telescope, integration, fields, scans, antennas, windows)


def _scan(metadata: Any, number: int) -> Scan:  # noqa: ANN401  CASA has no types
    times = metadata.timesforscan(number)
    return Scan(number, int(metadata.fieldsforscan(number)[0]), float(min(times)), float(max(times)))


def _window(metadata: Any, number: int) -> SpectralWindow:  # noqa: ANN401
    widths = metadata.chanwidths(number)
    centre = metadata.meanfreq(number)
    return SpectralWindow(number, len(widths), float(centre), float(abs(widths[0])))


def _distance(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)
