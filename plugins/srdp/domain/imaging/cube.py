"""One cube that a user asks for, and whether ALMA has data where it reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import real_number, whole_number
from srdp.domain.imaging.field_names import field_name
from srdp.domain.imaging.quantities import SPEED_OF_LIGHT_KM_S, Axis, axis_of, in_ghz, in_km_s, number_of, quantity

_MOST_CHANNELS = 16384
# ALMA observes 35-950 GHz; a line's rest frequency may be higher, as far as galaxies are away.
_LOWEST_GHZ, _HIGHEST_GHZ = 30.0, 20_000.0
_HIGHEST_OBSERVED_GHZ = 1000.0


def _start(value: object) -> str:
    checked = quantity(value)
    axis = axis_of(checked)
    if axis is Axis.VELOCITY and abs(in_km_s(checked)) >= SPEED_OF_LIGHT_KM_S:
        raise InvalidInput(f"The start {quoted(checked)} is faster than light: write a velocity in km/s or m/s.")
    if axis is Axis.FREQUENCY and not _LOWEST_GHZ <= in_ghz(checked) <= _HIGHEST_OBSERVED_GHZ:
        raise InvalidInput(
            f"The start {quoted(checked)} is no frequency that ALMA observes: write one from {_LOWEST_GHZ:g}GHz to "
            f"{_HIGHEST_OBSERVED_GHZ:g}GHz."
        )
    return checked


def _width(value: object) -> str:
    checked = quantity(value)
    if number_of(checked) == 0:
        raise InvalidInput(f"The width {quoted(checked)} is not a width: write how wide one channel of the cube is.")
    return checked


_T = TypeVar("_T")


def as_validator(function: Callable[[object], _T]) -> PlainValidator:
    """A validator that is one of the parser functions: pydantic wants a ValueError with the same sentence."""

    def validate(value: object) -> _T:
        try:
            return function(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from None

    return PlainValidator(validate)


class CubeRequest(BaseModel):
    """One cube.

    Attributes:
        field: the name of the source.
        spw: the number of the spectral window, as the pipeline counts them.
        rest_frequency_ghz: of the line, in GHz.
        start: where the first channel is, as CASA writes it: a channel's number, ``-10km/s`` or ``230.5GHz``.
        width: how wide a channel is, in the same manner; a velocity or a frequency may be negative.
        channels: how many there are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Annotated[str, as_validator(field_name)]
    spw: Annotated[int, as_validator(whole_number("The spectral window", 0, 999))]
    rest_frequency_ghz: Annotated[
        float, as_validator(real_number("The rest frequency", _LOWEST_GHZ, _HIGHEST_GHZ, "GHz"))
    ]
    start: Annotated[str, as_validator(_start)]
    width: Annotated[str, as_validator(_width)]
    channels: Annotated[int, as_validator(whole_number("The number of channels", 1, _MOST_CHANNELS))]

    @model_validator(mode="after")
    def _one_axis(self) -> Self:
        if axis_of(self.start) is not axis_of(self.width):
            raise ValueError(
                f"The start {self.start} is a {axis_of(self.start)} and the width {self.width} is a "
                f"{axis_of(self.width)}: give both in the same way."
            )
        problem = _out_of_reach(self)
        if problem:
            raise ValueError(f"{problem}: correct its start, width, channels or rest frequency.")
        return self


def _out_of_reach(cube: CubeRequest) -> str | None:
    """Return that a cube reaches to where no ALMA data are; of those of this MOUS nothing is known here."""
    axis = axis_of(cube.start)
    if axis is Axis.CHANNEL:
        last = int(cube.start) + int(cube.width) * cube.channels - 1
        if last < _MOST_CHANNELS:
            return None
        return f"The cube reaches to channel {last}, and no spectral window has more than {_MOST_CHANNELS} channels"
    value = in_ghz if axis is Axis.FREQUENCY else in_km_s
    ends = [value(cube.start), value(cube.start) + value(cube.width) * (cube.channels - 1)]
    if axis is Axis.VELOCITY:  # radio definition, as in CASA
        ends = [cube.rest_frequency_ghz * (1 - end / SPEED_OF_LIGHT_KM_S) for end in ends]
    if all(_LOWEST_GHZ <= end <= _HIGHEST_OBSERVED_GHZ for end in ends):
        return None
    return (
        f"The cube reaches from {ends[0]:g}GHz to {ends[1]:g}GHz, and ALMA observes {_LOWEST_GHZ:g}GHz to "
        f"{_HIGHEST_OBSERVED_GHZ:g}GHz"
    )
