"""The fields that the forms of several DAGs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from airflow.sdk import Param

from srdp.domain.given_files import (
    ANTENNA_POSITIONS,
    CONTINUUM_RANGES,
    FLAG_TEMPLATE,
    FLUX_DENSITIES,
    PROCESSING_REQUEST,
    STAGED_NAMES,
    TARGET_FLAGS,
)

SITE: Final = "Empty: the site's setting."
_FIELDS: Final = {
    PROCESSING_REQUEST: "processing_request",
    FLAG_TEMPLATE: "flag_template",
    FLUX_DENSITIES: "flux_densities",
    ANTENNA_POSITIONS: "antenna_positions",
    TARGET_FLAGS: "flag_template",
    CONTINUUM_RANGES: "continuum_ranges",
}


def recipe_param(recipe: str, **form: Any) -> Param:  # noqa: ANN401  as Param's
    """Returns the field for the recipe.

    Args:
        recipe: the standard one.
        **form: what else the field has, for example a section.
    """
    return Param(
        recipe,
        type="string",
        title="Recipe",
        description=f"The PPR template; {recipe} is the standard recipe.",
        pattern="^[a-z][a-z0-9_]{0,39}$",
        **form,
    )


def resource_params(empty: str = SITE, **form: Any) -> dict[str, Param]:  # noqa: ANN401  as Param's
    """Returns the fields for what a CASA job asks the engine for: ``cores`` and ``memory_gb``.

    Args:
        empty: what an empty field means.
        **form: what else the fields have.
    """
    highest = {"cores": ("Cores", 1024), "memory_gb": ("Memory [GB]", 65536)}
    return {
        name: Param(None, type=["null", "integer"], minimum=1, maximum=maximum, title=title, description=empty, **form)
        for name, (title, maximum) in highest.items()
    }


def text_param(title: str, description: str, **form: Any) -> Param:  # noqa: ANN401  as Param's
    """Returns a field for text that may be left empty.

    Args:
        title: its title.
        description: what is below it.
        **form: what else it has, for example ``format="multiline"``.
    """
    return Param(None, type=["null", "string"], title=title, description=description, **form)


def truth_param(title: str, description: str, *, default: bool = False, **form: Any) -> Param:  # noqa: ANN401
    """Returns a field that is switched on or off.

    Args:
        title: its title.
        description: what is below it.
        default: whether it is on to begin with.
        **form: what else it has.
    """
    return Param(default, type="boolean", title=title, description=description, **form)


def list_param(
    title: str,
    description: str,
    *,
    examples: Sequence[str],
    required: bool = False,
    **form: Any,  # noqa: ANN401  as Param's
) -> Param:
    """Returns a field for several things: lines of text in the form; over the API also a list. See :func:`listed`.

    Args:
        title: its title.
        description: what is below it.
        examples: one at least. Without examples Airflow shows a field of two types as JSON.
        required: whether it must not be left empty.
        **form: what else it has.
    """
    kinds = ["string", "array"] if required else ["null", "string", "array"]
    asked: dict[str, Any] = {"format": "multiline", "maxLength": 100_000, "maxItems": 1000, **form}
    if required:
        asked |= {"minLength": 1, "minItems": 1}
    else:
        asked["default"] = None
    return Param(type=kinds, title=title, description=description, examples=list(examples), **asked)


def listed(name: str) -> str:
    """Returns the template of a field of :func:`list_param`: its text as it is, a list as JSON.

    Args:
        name: the field.
    """
    value = f"params.{name}"
    return f"{{{{ {value} if {value} is string or {value} is none else {value} | tojson }}}}"


def file_params(kind: str) -> dict[str, Param]:
    """Returns the fields for the files of a run: a path and a text for each, all of which may be left empty.

    Args:
        kind: what is made, for example ``vla_calibration``.
    """
    paths = {
        _FIELDS[file]: text_param(
            file,
            f"The absolute path of the {file}. Empty: the one pasted below, or that of the former run.",
            section="Files, by path",
            maxLength=1000,
        )
        for file in STAGED_NAMES[kind]
    }
    texts = {
        f"{_FIELDS[file]}_text": text_param(
            f"{file}, pasted",
            f"The {file} itself, instead of its path.",
            section="Files, pasted",
            format="multiline",
            maxLength=1_000_000,
        )
        for file in STAGED_NAMES[kind]
    }
    return paths | texts


def given_files(kind: str) -> dict[str, dict[str, str]]:
    """Returns the templates of the fields of :func:`file_params`: for each file its ``path`` and its ``text``.

    Args:
        kind: likewise.
    """
    return {
        file: {"path": f"{{{{ params.{_FIELDS[file]} }}}}", "text": f"{{{{ params.{_FIELDS[file]}_text }}}}"}
        for file in STAGED_NAMES[kind]
    }
