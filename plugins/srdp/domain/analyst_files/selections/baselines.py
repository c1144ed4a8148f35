"""The selection of baselines by their length, and of correlations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from srdp.domain.analyst_files.selections.observed import SPEED_OF_LIGHT_M_S, Observed
from srdp.domain.analyst_files.selections.syntax import REAL, Fault, empty_piece, pieces

_LENGTH_UNIT = "[kKM]?(?i:lambda)|k?m"
_LENGTHS = re.compile(rf"[<>] *{REAL} *(?:{_LENGTH_UNIT})?|{REAL} *~ *{REAL} *(?:{_LENGTH_UNIT})?")
_LENGTH = re.compile(rf"{REAL} *(?:{_LENGTH_UNIT})?")
_OPERATOR = re.compile(r"(?:ABS|ARG|REAL|IMAG|NORM)[_ ]")
_CORRELATIONS = frozenset({"RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY"})


def length_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a selection of baseline lengths, such as ``<1klambda`` or ``100~500m``.

    Args:
        text: the selection.
        observed: the observation, for its longest baseline.
    """
    for offset, piece in pieces(text, ","):
        if not piece:
            yield empty_piece(offset, text)
            continue
        numbers = [float(number[:300]) for number in re.findall(REAL, piece)]
        if _LENGTH.fullmatch(piece):
            yield Fault(offset, piece, "is one length, which no baseline has exactly", "write a range such as 100~500m")
        elif not _LENGTHS.fullmatch(piece):
            fix = "write for example <1klambda or 100~500m, with lambda, klambda, Mlambda, m or km"
            yield Fault(offset, piece, "is no length", fix)
        elif len(numbers) > 1 and numbers[0] > numbers[1]:
            yield Fault(offset, piece, "ends before it begins", "write the shorter length first")
        elif not piece.startswith("<") and (longest := _longest(piece, observed)) and numbers[0] > longest:
            yield Fault(offset, piece, "is longer than every baseline of this observation", f"go to {longest:.4g}")


def _longest(piece: str, observed: Observed) -> float:
    """Return the longest baseline of the observation in the unit of a selection; 0 if it is not known."""
    unit = piece.lstrip("<>~ .eE+-0123456789")
    if not unit.lower().endswith("lambda"):
        return observed.longest_baseline_m / (1e3 if unit == "km" else 1.0)
    prefix = {"k": 1e3, "K": 1e3, "M": 1e6}.get(unit[0], 1.0)
    highest = max((window.highest_hz for window in observed.windows), default=0.0)
    return observed.longest_baseline_m * highest / SPEED_OF_LIGHT_M_S / prefix


def correlation_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of correlations such as ``RR,LL`` or ``ABS_ALL``.

    Args:
        text: the selection.
        observed: the observation, for its correlations.
    """
    upper = text.upper()
    operator = _OPERATOR.match(upper)
    begin = operator.end() if operator else 0
    if upper[begin:] == "ALL":
        return
    known = observed.correlations or _CORRELATIONS
    for offset, piece in pieces(upper[begin:], ","):
        if piece not in known:
            of_this = " of this observation" if observed.correlations else ""
            fix = f"write {', '.join(sorted(known))} with , between them, or ABS_ALL"
            yield Fault(begin + offset, text[begin + offset :][: len(piece)], f"is no correlation{of_this}", fix)
