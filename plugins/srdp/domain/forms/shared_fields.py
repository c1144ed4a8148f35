"""The fields that several forms have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from srdp.domain.analyst_files.names import ANALYST_FILES
from srdp.domain.analyst_files.submitted import check_pasted, check_path
from srdp.domain.common.form_fields import (
    LINES,
    ONE_LINE,
    WHOLE,
    Field,
    choice,
    text,
    whole_number,
)
from srdp.domain.runs.families import Family
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.site.engine_names import EngineName

SITE: Final = "Empty: the site's setting."
FORMER: Final = "Empty: as the former run."
PASTED: Final = "The file itself, instead of its path."
USER, RUN, CASA = "Who asks", "How it is run", "CASA"


def file_fields(kind: str) -> Mapping[str, tuple[str, str]]:
    """Return the names of the two fields for each file of a run: of its path, and of its text.

    Args:
        kind: what is made, for example ``vla_calibration``.
    """
    return {name: (file.form_field, f"{file.form_field}_text") for name, file in ANALYST_FILES[kind].items()}


def text_field(
    title: str,
    description: str,
    longest: int,
    *,
    lines: bool = False,
    required: bool = False,
    section: str | None = None,
) -> Field:
    """Return a field for a text."""
    return Field(
        title=title,
        description=description,
        parser=text(title, longest, lines=lines),
        shown=LINES if lines else ONE_LINE,
        required=required,
        section=section,
    )


def path_field(file: str, title: str, description: str, section: str) -> Field:
    """Return the field for the path of a file of a run."""
    return Field(
        title=title, description=description, parser=partial(check_path, file), shown=ONE_LINE, section=section
    )


def file_field(file: str, title: str, description: str, section: str) -> Field:
    """Return the field for the text of a file of a run."""
    return Field(
        title=title,
        description=description,
        parser=partial(check_pasted, file),
        shown=LINES,
        section=section,
        verbatim=True,
    )


def run_field(family: Family, description: str | None = None, *, required: bool = True) -> Field:
    """Return the field for a pipeline run ID."""
    example = f"{family.name}-20261122-182453-4f7k"
    return Field(
        title="Pipeline run ID",
        description=description or f"From the mail, or the name of the run's directory, for example {example}.",
        parser=pipeline_run_id,
        shown=ONE_LINE,
        required=required,
    )


def reason_field(description: str, parser: Callable[[object], str]) -> Field:
    """Return the form field for a reason."""
    return Field(title="Reason", description=description, parser=parser, shown=LINES, required=True)


def recipe_field(family: Family, section: str | None = None) -> Field:
    """Return the field for the recipe of a run."""
    return Field(
        title="Recipe",
        description=f"The PPR template; {family.kind} is the standard recipe.",
        parser=text("Recipe", 40),
        shown=ONE_LINE,
        default=family.kind,
        required=True,
        section=section,
    )


def resource_fields(empty: str, section: str | None = None) -> dict[str, Field]:
    """Return the fields for the engine and the resources of a run; empty says what an empty one means."""
    engines = [each.value for each in EngineName]
    engine = Field(
        title="Engine",
        description=f"What runs CASA, if the site has it: {', '.join(engines)}. {empty}",
        parser=choice("Engine", engines),
        shown={**ONE_LINE, "examples": engines},
        section=section,
    )
    return {"engine": engine} | {
        name: Field(
            title=title, description=empty, parser=whole_number(title, 1, highest), shown=WHOLE, section=section
        )
        for name, title, highest in (("cores", "Cores", 1024), ("memory_gb", "Memory [GB]", 65536))
    }
