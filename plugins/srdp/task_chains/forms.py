"""A form as a DAG has it: Airflow's fields, and the templates by which its values reach the tasks."""

from __future__ import annotations

from typing import Any, Final

from airflow.sdk import Param

from srdp.domain.common.form_fields import Field
from srdp.families import Family
from srdp.families.form_parts import file_fields
from srdp.families.forms import FORMS

# Airflow's page makes the field from the schema's keywords; nothing is validated by them. Up to draft 7 of JSON schema,
# whatever stands beside a $ref is ignored (section 8.3), and this one takes everything: the first task checks the form
# and answers in a sentence, where Airflow would dump the schema. A list of all types would do the same for Airflow, but
# its page shows a field of several types as JSON.
_TAKES_EVERYTHING: Final = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$ref": "#/definitions/anything",
    "definitions": {"anything": {}},
}


def params(dag_id: str) -> dict[str, Param]:
    """Return the fields of a DAG's form as Airflow takes them.

    Args:
        dag_id: the DAG; see :data:`srdp.families.forms.FORMS`.
    """
    return {name: _param(field) for name, field in FORMS[dag_id].fields.items()}


def _param(field: Field) -> Param:
    schema: dict[str, Any] = {**_TAKES_EVERYTHING, "title": field.title, **field.shown}
    if not field.required:
        # That is how the page knows that it may be left empty.
        schema["type"] = ["null", field.shown["type"]]
    if field.section is not None:
        schema["section"] = field.section
    return Param(field.default, description=field.description, **schema)


def value(dag_id: str, name: str) -> str:
    """Return the template of a field's value: without blanks at its ends, a list as JSON, of nothing the text ``None``.

    Args:
        dag_id: the DAG.
        name: the field.
    """
    field = FORMS[dag_id].fields[name]
    if field.verbatim:
        return f"{{{{ params.{name} }}}}"
    if field.listed:
        return (
            f"{{{{ params.{name} if params.{name} is string or params.{name} is none else params.{name} | tojson }}}}"
        )
    return f"{{{{ params.{name} | trim }}}}"


def values(dag_id: str, *left_out: str) -> dict[str, str]:
    """Return the templates of all fields by their names.

    Args:
        dag_id: the DAG.
        *left_out: fields that are not wanted.
    """
    return {name: value(dag_id, name) for name in FORMS[dag_id].fields if name not in left_out}


def submitted_files(dag_id: str, family: Family) -> dict[str, dict[str, str]]:
    """Return the templates of the fields for files: for each file its ``path`` and its ``text``.

    Args:
        dag_id: the DAG.
        family: whose run it is.
    """
    return {
        file: {"path": value(dag_id, path), "text": value(dag_id, text)}
        for file, (path, text) in file_fields(family).items()
    }
