"""Prints the table of all settings: ``python -m srdp.settings_table > docs/settings.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from srdp.settings import GROUPS

_HEADING = """# Settings

Every setting is an environment variable of all of Airflow's components. `make check` and the DAG `check_settings`
say what is missing or wrong. Servers and their passwords are Airflow Connections (`AIRFLOW_CONN_SRDP_LEDGER` and so
on, or a secrets backend); the settings hold only the connections' names.

This page is generated from the code: `PYTHONPATH=plugins .venv/bin/python -m srdp.settings_table > docs/settings.md`.
"""
_GROUP = """
## {title}

| variable | default | meaning |
|---|---|---|
"""


def settings_table() -> str:
    """Return the page of settings as Markdown."""
    return _HEADING + "".join(_GROUP.format(title=each.TITLE) + "".join(_rows("SRDP_", each)) for each in GROUPS)


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable, default = f"{prefix}{name.upper()}", field.default
        meaning = (field.description or "").replace("|", chr(92) + "|")
        if isinstance(default, BaseModel):
            # The variables of an engine, each for itself.
            yield f"| `{variable}__...` | | {meaning} |\n"
            yield from _rows(f"{variable}__", type(default))
        else:
            yield f"| `{variable}` | {_default(field)} | {meaning} |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**must be set**"
    default = field.default
    if default is None or default == {}:
        return "empty"
    value = ",".join(default) if isinstance(default, tuple) else str(default)
    return f"`{value}`" if value else "empty"


if __name__ == "__main__":
    sys.stdout.write(settings_table())
