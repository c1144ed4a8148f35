"""The start and the width of a cube, as CASA writes them: channels, velocities or frequencies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

from srdp.domain.common.errors import InvalidInput, quoted

SPEED_OF_LIGHT_KM_S: Final = 299_792.458
_QUANTITY = re.compile(r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)) *(?P<unit>[A-Za-z/]*)")
_LONGEST_QUANTITY = 32


class Axis(StrEnum):
    """In what the start or the width of a cube is counted."""

    CHANNEL = "channel"
    VELOCITY = "velocity"
    FREQUENCY = "frequency"


def quantity(value: object) -> str:
    """Return a start or a width as CASA writes it, in its one spelling: ``5``, ``-10.5km/s``, ``230.538GHz``.

    Raises:
        InvalidInput: it is no channel, velocity or frequency.
    """
    text = str(value) if type(value) is int else value
    match = _QUANTITY.fullmatch(text.strip(" ")) if isinstance(text, str) and len(text) <= _LONGEST_QUANTITY else None
    unit = _UNITS.get(match["unit"].lower()) if match else None
    if match is None or unit is None or (unit == "" and not match["number"].lstrip("+").isdigit()):
        raise InvalidInput(
            f"{quoted(value)} is no channel, velocity or frequency: write for example 0, -10.5km/s or 230.538GHz."
        )
    return f"{_plain(Decimal(match['number']))}{unit}"


def axis_of(checked: str) -> Axis:
    """Return in what a quantity is counted.

    Args:
        checked: from :func:`quantity`.
    """
    return _AXES[_unit_of(checked)]


def in_ghz(checked: str) -> float:
    """Return a frequency in GHz.

    Args:
        checked: from :func:`quantity`; a frequency.
    """
    return number_of(checked) * _GHZ[_unit_of(checked)]


def in_km_s(checked: str) -> float:
    """Return a velocity in km/s.

    Args:
        checked: from :func:`quantity`; a velocity.
    """
    return number_of(checked) * _KM_S[_unit_of(checked)]


_GHZ: Final[Mapping[str, float]] = {"GHz": 1.0, "MHz": 1e-3, "kHz": 1e-6, "Hz": 1e-9}
_KM_S: Final[Mapping[str, float]] = {"km/s": 1.0, "m/s": 1e-3}
_AXES: Final[Mapping[str, Axis]] = {
    "": Axis.CHANNEL,
    **dict.fromkeys(_KM_S, Axis.VELOCITY),
    **dict.fromkeys(_GHZ, Axis.FREQUENCY),
}
_UNITS: Final[Mapping[str, str]] = {unit.lower(): unit for unit in _AXES}


def _unit_of(checked: str) -> str:
    return checked.lstrip("+-.0123456789")


def number_of(checked: str) -> float:
    """Return the number of a quantity, in the unit in which it is written."""
    return float(checked.removesuffix(_unit_of(checked)))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text.removeprefix("+")
