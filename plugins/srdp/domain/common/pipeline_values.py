"""Values in the texts that the CASA pipeline reads: which it takes for numbers and truth values."""

from __future__ import annotations

#: A text as the pipeline casts it.
Value = str | int | float | bool


def cast_text(text: str) -> Value:
    """Return a text as an integer, a float or a truth value if it can be one, else as it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
