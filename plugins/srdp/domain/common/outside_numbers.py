"""Numbers that an outside system sends, in any spelling.

NGAS answers a size as ``20480`` on SQLite and as ``20480.0`` on PostgreSQL; an archive's database may have it as text
or as a decimal; a JSON document as ``"20480"`` or ``2.048e4``. All of them are one number, and everything that reads
one from outside reads it here. What is no number at all is refused: ``nan``, ``1e400``, a fraction where bytes are
counted.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from srdp.domain.common.errors import InvalidInput, quoted

# No system sends a number that is longer than this without its exponent.
_LONGEST = 60
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
# Beyond it a float stands for several whole numbers, so nobody knows which one was meant.
_LAST_EXACT_FLOAT = 2**53


def whole_number(value: object, *, lowest: int, highest: int, what: str) -> int:
    """Return a whole number that an outside system sent, in any spelling.

    Args:
        value: an integer, a float, a decimal, or one of these as text.
        lowest: the smallest number that can be right.
        highest: the largest one.
        what: what it is, for the sentence, for example ``size in bytes``.

    Raises:
        InvalidInput: it is no whole number, or is out of range.
    """
    if type(value) is int and lowest <= value <= highest:
        return value
    number = _decimal(value, what)
    # The size first: a small text can stand for a number of 10,000 digits.
    if abs(number.adjusted()) < _LONGEST and number == number.to_integral_value() and lowest <= number <= highest:
        if isinstance(value, float) and abs(value) > _LAST_EXACT_FLOAT:
            raise InvalidInput(f"{quoted(value)} is not exact enough to be a {what}")
        return int(number)
    raise InvalidInput(f"{quoted(value)} is not a {what}, which is a whole number from {lowest} to {highest}")


def real_number(value: object, *, what: str) -> float:
    """Return a finite number that an outside system sent, in any spelling.

    Args:
        value: an integer, a float, a decimal, or one of these as text.
        what: what it is, for the sentence.

    Raises:
        InvalidInput: it is no number, or none that is finite.
    """
    number = float(_decimal(value, what))
    if math.isfinite(number):
        return number
    raise InvalidInput(f"{quoted(value)} is not a {what}, which is a finite number")


def _decimal(value: object, what: str) -> Decimal:
    if isinstance(value, str) and len(value) <= _LONGEST and _NUMBER.fullmatch(text := value.strip(" ")):
        return Decimal(text)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        if number.is_finite():
            return number
    raise InvalidInput(f"{quoted(value)} is not a {what}, which is a number")
