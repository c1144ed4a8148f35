"""What CASA makes of a value of a flag command."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

# Longer literals are none that a person wrote; Python's parser is not asked about them.
_LONGEST_LITERAL = 2000
#: How a truth value may be written.
TRUTHS: Mapping[str, bool] = {"True": True, "true": True, "False": False, "false": False}


#: What CASA takes a text to be between.
QUOTES = "'\""


def text_value(raw: str) -> str:
    """Return the text that CASA makes of a value: it removes quotes, and a single one anywhere."""
    value = raw
    for quote in QUOTES:
        if quote in raw:
            value = raw.strip(quote)
            break
    for quote in QUOTES:
        if value.count(quote) == 1:
            value = value.replace(quote, "")
            break
    return value.strip(" \t")


def literal_value(raw: str) -> Any:  # noqa: ANN401
    """Return what CASA makes of a value that is not in quotes; None if that is text or nothing good."""
    if raw in TRUTHS:
        return TRUTHS[raw]
    if raw[:1] in {"[", "{"}:
        return _container(raw)
    for kind in (int, float):
        try:
            value = kind(raw)
        except ValueError:
            continue
        return value if "_" not in raw and math.isfinite(value) else None
    return None


def _container(raw: str) -> list[Any] | dict[Any, Any] | None:
    """Return a list or a dictionary of constants; CASA would run anything else in braces as Python."""
    if len(raw) > _LONGEST_LITERAL:
        return None
    try:
        value = ast.literal_eval(raw)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, list | dict) else None
