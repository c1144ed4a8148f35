"""``flux.csv``: flux densities of calibrators, which an analyst may edit before a rerun."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Where CASA looks for it, in the working directory.
FILE_NAME = "flux.csv"
_COLUMNS = ("ms", "field", "spw", "I", "Q", "U", "V", "spix", "uvmin", "uvmax", "comment")
# Without the limits in uv: a file of an older release. Its rows are dropped without a word.
_OLD_COLUMNS = tuple(column for column in _COLUMNS if column not in {"uvmin", "uvmax"})


@dataclass(frozen=True)
class FluxDensity:
    """The flux density of one field in one spectral window.

    Attributes:
        ms: name of the measurement set, ``<execution block>.ms``.
        field: number of the field.
        spw: number of the spectral window.
        stokes: I, Q, U and V in Jy.
        spectral_index: the exponent of the frequency.
        comment: where the value comes from.
    """

    ms: str
    field: int
    spw: int
    stokes: tuple[float, float, float, float]
    spectral_index: float = 0.0
    comment: str = ""


def write_flux_file(path: Path, densities: Iterable[FluxDensity]) -> None:
    """Write the file, with its header and a newline at its end."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for density in densities:
            stokes = [f"{value:.6g}" for value in density.stokes]
            writer.writerow(
                [density.ms, density.field, density.spw, *stokes, density.spectral_index, 0.0, 0.0, density.comment]
            )


def read_flux_file(path: Path, ms: str) -> tuple[FluxDensity, ...]:
    """Read the rows of one measurement set.

    Args:
        path: the file.
        ms: name of the measurement set; rows of others are not looked at.

    Returns:
        The rows; none at all if the file has the header of an older release.

    Raises:
        ValueError: the header is neither today's nor the old one, or a number is none.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        lines = csv.reader(stream)
        header = tuple(next(lines, []))
        if header == _OLD_COLUMNS:
            return ()
        if header != _COLUMNS:
            raise ValueError(f"{path.name}: the first line must be {','.join(_COLUMNS)}, it is {','.join(header)}")
        return tuple(_density(row) for row in lines if row and row[0] == ms)


def _density(row: list[str]) -> FluxDensity:
    i, q, u, v, spectral_index = (float(value) for value in row[3:8])
    return FluxDensity(row[0], int(row[1]), int(row[2]), (i, q, u, v), spectral_index, ",".join(row[10:]))
