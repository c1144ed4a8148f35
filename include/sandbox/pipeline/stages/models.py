"""Models of calibrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The scale of flux densities, in CASA's words.
STANDARD = "Perley-Butler 2017"

Stokes = tuple[float, float, float, float]


def flux_densities_of(answer: Mapping[str, Any], field: int) -> dict[int, Stokes]:
    """Return I, Q, U and V in Jy by spectral window, out of what CASA's ``setjy`` returns.

    Args:
        answer: the answer of ``setjy``.
        field: number of the field.
    """
    windows = answer.get(str(field), {})
    densities: dict[int, Stokes] = {}
    for name, value in windows.items():
        if name.isdigit():
            i, q, u, v = (float(number) for number in value["fluxd"])
            densities[int(name)] = (i, q, u, v)
    return densities
