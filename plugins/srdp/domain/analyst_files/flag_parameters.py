"""The parameters of CASA's ``flagdata`` that a line of a file of flag commands may hold: names, types and values.

From the task's own definition (casatasks 6.7, ``flagdata``) and from what its list mode makes of it: it compares types
exactly (``growtime=50`` stops the task, ``growtime=50.0`` does not), and it evaluates some text as Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from srdp.domain.analyst_files.selections.antennas import antenna_faults, reference_antenna_faults
from srdp.domain.analyst_files.selections.baselines import correlation_faults, length_faults
from srdp.domain.analyst_files.selections.fields import field_faults, intent_faults
from srdp.domain.analyst_files.selections.numbers import array_faults, number_faults, observation_faults, scan_faults
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.analyst_files.selections.spectral_windows import spectral_window_faults
from srdp.domain.analyst_files.selections.syntax import Fault
from srdp.domain.analyst_files.selections.times import timerange_faults


class Kind(StrEnum):
    """A type of value; the text names it in messages."""

    TEXT = "text in quotes"
    WHOLE = "a whole number"
    REAL = "a number with a decimal point"
    TRUTH = "True or False, without quotes"
    LIST = "a list in brackets"
    MAPPING = "a dictionary in braces"


ValueCheck = Callable[[Any, Observed], Iterator[Fault]]


def _anything(value: object, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    yield from ()


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        kinds: the types that CASA takes.
        check: what else must hold of a value of such a type.
    """

    kinds: tuple[Kind, ...]
    check: ValueCheck = _anything


def _choice(*choices: str, upper: bool = False) -> Parameter:
    def check(value: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
        if (value.upper() if upper else value) not in choices:
            yield Fault(0, value, "is not one of the choices", f"choose from {', '.join(choices)}")

    return Parameter((Kind.TEXT,), check)


def _between(kinds: tuple[Kind, ...], lowest: float, highest: float = math.inf) -> Parameter:
    def check(value: float, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
        if not lowest <= value <= highest:
            limits = f"at least {lowest:g}" if highest == math.inf else f"from {lowest:g} to {highest:g}"
            yield Fault(0, str(value), "is out of range", f"write a number that is {limits}")

    return Parameter(kinds, check)


def _longer_than_nothing(value: float, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    if value <= 0:
        yield Fault(0, str(value), "is not more than 0 seconds", "write how many seconds are to be flagged")


_UNITS_OF_TIME = ("min", "s", "")


def _duration(value: str | float, observed: Observed) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield from _longer_than_nothing(value, observed)
        return
    number = value.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        if float(number) > 0 and value[len(number) :] in _UNITS_OF_TIME:
            return
    except ValueError:
        pass
    yield Fault(0, value, "is no length of time", "write for example 10s or 1.5min")


def _time_chunk(value: str | float, observed: Observed) -> Iterator[Fault]:
    if value != "scan":
        yield from _duration(value, observed)


def _clip_limits(value: list[Any], observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    numbers = [item for item in value if type(item) in {int, float} and math.isfinite(item)]
    if len(value) != 2 or len(numbers) != 2:
        yield Fault(0, str(value), "is not a lower and an upper limit", "write two numbers, for example [0.0,1.5]")
    elif numbers[0] >= numbers[1]:
        yield Fault(0, str(value), "ends before it begins", "put the lower limit first")


def _thresholds(value: list[Any], observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    for row in value:
        if not isinstance(row, list) or len(row) != 3 or any(type(item) not in {int, float} for item in row):
            yield Fault(
                0, str(row), "is not a threshold", "write [field,spw,threshold] in brackets, for example [[1,9,0.2]]"
            )


def _more_antennas(value: Mapping[Any, Any], observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    wanted = {"name": str, "diameter": float, "position": list}
    for number, (key, antenna) in enumerate(value.items()):
        if (
            key != str(number)
            or not isinstance(antenna, dict)
            or {name: type(item) for name, item in antenna.items()} != wanted
        ):
            yield Fault(
                0,
                str(key),
                "is not the description of an antenna",
                "write {'0':{'name':'VLA01','diameter':25.0,'position':[x,y,z]},'1':...} in metres",
            )


_TEXT = Parameter((Kind.TEXT,))
_TRUTH = Parameter((Kind.TRUTH,))
_REAL = (Kind.REAL,)
_WHOLE = (Kind.WHOLE,)

#: What may stand in every mode: the data that are meant, and why. A reason is not passed on to CASA's flagger.
SELECTORS: Mapping[str, Parameter] = {
    "field": Parameter((Kind.TEXT,), field_faults),
    "spw": Parameter((Kind.TEXT,), spectral_window_faults),
    "antenna": Parameter((Kind.TEXT,), antenna_faults),
    "timerange": Parameter((Kind.TEXT,), timerange_faults),
    "correlation": Parameter((Kind.TEXT,), correlation_faults),
    "scan": Parameter((Kind.TEXT,), scan_faults),
    "intent": Parameter((Kind.TEXT,), intent_faults),
    "array": Parameter((Kind.TEXT,), array_faults),
    "uvrange": Parameter((Kind.TEXT,), length_faults),
    "observation": Parameter((Kind.TEXT,), observation_faults),
    "feed": Parameter((Kind.TEXT,), number_faults),
    "reason": _TEXT,
}

_AVERAGING: dict[str, Parameter] = {
    "datacolumn": _choice(
        "DATA", "CORRECTED", "MODEL", "RESIDUAL", "RESIDUAL_DATA", "WEIGHT", "WEIGHT_SPECTRUM", upper=True
    ),
    "channelavg": _TRUTH,
    "chanbin": _between(_WHOLE, 1),
    "timeavg": _TRUTH,
    "timebin": Parameter((Kind.TEXT,), _duration),
}
_CHUNKS: dict[str, Parameter] = {
    "ntime": Parameter((Kind.TEXT, Kind.REAL), _time_chunk),
    "combinescans": _TRUTH,
}

#: What belongs to each mode. ``list`` is a mode of the task, not of a line of its list.
MODES: Mapping[str, Mapping[str, Parameter]] = {
    "manual": {"autocorr": _TRUTH},
    "clip": {"clipminmax": Parameter((Kind.LIST,), _clip_limits), "clipoutside": _TRUTH, "clipzeros": _TRUTH}
    | _AVERAGING,
    "quack": {
        "quackinterval": Parameter((Kind.REAL, Kind.WHOLE), _longer_than_nothing),
        "quackmode": _choice("beg", "endb", "end", "tail"),
        "quackincrement": _TRUTH,
    },
    "shadow": {"tolerance": Parameter(_REAL), "addantenna": Parameter((Kind.MAPPING,), _more_antennas)},
    "elevation": {"lowerlimit": _between(_REAL, 0, 90), "upperlimit": _between(_REAL, 0, 90)},
    "tfcrop": {
        "timecutoff": _between(_REAL, 0),
        "freqcutoff": _between(_REAL, 0),
        "timefit": _choice("line", "poly"),
        "freqfit": _choice("line", "poly"),
        "maxnpieces": _between(_WHOLE, 1, 9),
        "flagdimension": _choice("time", "freq", "timefreq", "freqtime"),
        "usewindowstats": _choice("none", "sum", "std", "both"),
        "halfwin": _between(_WHOLE, 1, 3),
        "extendflags": _TRUTH,
    }
    | _CHUNKS
    | _AVERAGING,
    "rflag": {
        "winsize": _between(_WHOLE, 1),
        # Text here would be evaluated as Python; a bare number makes the task look for a file of that name.
        "timedev": Parameter((Kind.LIST,), _thresholds),
        "freqdev": Parameter((Kind.LIST,), _thresholds),
        "timedevscale": _between(_REAL, 0),
        "freqdevscale": _between(_REAL, 0),
        "spectralmax": Parameter(_REAL),
        "spectralmin": Parameter(_REAL),
        "extendflags": _TRUTH,
    }
    | _CHUNKS
    | _AVERAGING,
    "extend": {
        "extendpols": _TRUTH,
        "growtime": _between(_REAL, 0, 100),
        "growfreq": _between(_REAL, 0, 100),
        "growaround": _TRUTH,
        "flagneartime": _TRUTH,
        "flagnearfreq": _TRUTH,
    }
    | _CHUNKS,
    "antint": {
        "antint_ref_antenna": Parameter((Kind.TEXT,), reference_antenna_faults),
        "minchanfrac": _between(_REAL, 0, 1),
        "verbose": _TRUTH,
    },
    "unflag": {},
    "summary": {
        "name": _TEXT,
        "minrel": _between(_REAL, 0, 1),
        "maxrel": _between(_REAL, 0, 1),
        "minabs": Parameter(_WHOLE),
        "maxabs": Parameter(_WHOLE),
        "spwchan": _TRUTH,
        "spwcorr": _TRUTH,
        "basecnt": _TRUTH,
        "fieldcnt": _TRUTH,
    },
}

#: Every parameter that a line may hold in some mode, beside ``mode`` itself.
KNOWN: frozenset[str] = frozenset(SELECTORS).union(*MODES.values())
