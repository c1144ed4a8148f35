"""Prints the fields of all forms: ``python -m srdp.forms_table > docs/forms.md``."""

from __future__ import annotations

import sys

from srdp.domain.common.form_fields import Field
from srdp.families.forms import FORMS

_HEADING = """# Forms

What each DAG takes: the fields of its form, and the keys of `conf` over Airflow's REST API. Blanks around a value are
taken off, but not from the text of a file. An empty field is the same as one that is not given. A key that is not
listed here is refused, with the nearest one that is.

This page is generated from the code: `PYTHONPATH=plugins .venv/bin/python -m srdp.forms_table > docs/forms.md`.
"""


def forms_table() -> str:
    """Return the page of forms as Markdown."""
    return _HEADING + "".join(_form(dag_id) for dag_id in sorted(FORMS))


def _form(dag_id: str) -> str:
    fields = FORMS[dag_id].fields
    if not fields:
        return f"\n## {dag_id}\n\nNo fields.\n"
    rows = "".join(_row(name, field) for name, field in fields.items())
    return f"\n## {dag_id}\n\n| key | field | kind | not given | |\n|---|---|---|---|---|\n{rows}"


def _row(name: str, field: Field) -> str:
    kind = "lines of text" if field.shown.get("format") == "multiline" else str(field.shown["type"])
    kind += ", or a list" if field.listed else ""
    default = "" if field.default is None else f"`{field.default}`"
    absent = default or ("**must be given**" if field.required else "empty")
    description = field.description.replace("|", "\\|")
    return f"| `{name}` | {field.title} | {kind} | {absent} | {description} |\n"


if __name__ == "__main__":
    sys.stdout.write(forms_table())
