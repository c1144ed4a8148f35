"""The events of the ledger as ``docs/events.md``.

``python -m srdp.events_table`` writes it; a test fails if it is stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from srdp.domain.events.names import EVENTS, EventName

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"

_INTRODUCTION = """\
# Events

What can happen to a pipeline run, as the ledger's table `event` holds it:
`SELECT happened_at, event, details FROM event WHERE pipeline_run_id = '...' ORDER BY sequence`. Events record what
happened, for people; nothing is decided by them. Keys with a question mark are left out where they do not apply. This
page is made from `srdp/domain/events/names.py`: `PYTHONPATH=plugins .venv/bin/python -m srdp.events_table`.

| event | meaning | details |
|---|---|---|
"""


def page() -> str:
    """Return ``docs/events.md``."""
    return _INTRODUCTION + "".join(_row(event) for event in EventName)


def _row(event: EventName) -> str:
    says, payload = EVENTS[event]
    keys = ", ".join(_key(name, payload) for name in payload.__annotations__)
    return f"| `{event}` | {says} | {keys or 'none'} |\n"


def _key(name: str, payload: Any) -> str:  # noqa: ANN401  a TypedDict is no type to the type checker
    return f"`{name}`" if name in payload.__required_keys__ else f"`{name}`?"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
