"""The forms of the DAGs that image ALMA data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from srdp.domain.analyst_files.names import TARGET_FLAGS
from srdp.domain.common.form_fields import CUBE_LINE, LINES, ONE_LINE, REAL, Field, Form, truth_field
from srdp.domain.runs.identifiers import mous_uid
from srdp.families.form_parts import (
    SITE,
    cleanup_form,
    each_file_once,
    fail_form,
    recipe_field,
    report_and_template,
    rerun_form,
    resource_fields,
    run_field,
    text_field,
    withdrawal_form,
)
from srdp.families.protocol import Family

_USER: Final = "Who asks"
_RUN: Final = "How it is run"


def forms(family: Family) -> tuple[Form, ...]:
    """Return the forms of the family's DAGs."""
    return (
        _imaging(family),
        rerun_form(family, "a MOUS's UID"),
        _ingest(family),
        _fail(family),
        _assign(family),
        withdrawal_form(family),
        cleanup_form(family),
    )


def _imaging(family: Family) -> Form:
    def rule(given: Mapping[str, object]) -> None:
        from srdp.domain.imaging.request import imaging_request

        asked = {name: given[name] for name in given if name not in {"recipe", "engine", "cores", "memory_gb", "mous"}}
        # What the field of the MOUS itself reports is reported once; who triggers it is put in for a name that is not
        # given.
        mous = "uid://A001/X1/X1"
        imaging_request(**{**asked, "mous": mous, "asked_by": asked["asked_by"] or "somebody"})

    line = "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80"
    return Form(
        dag_id=family.kind,
        fields={
            "mous": Field(
                title="MOUS",
                description="The UID of the member observing unit set.",
                parser=mous_uid,
                shown={**ONE_LINE, "examples": ["uid://A001/X1288/X3f"]},
                required=True,
            ),
            "fields": Field(
                title="Fields",
                description="The names of the sources to image, one a line.",
                parser=_checked_by_rule,
                shown={**LINES, "examples": ["TW_Hya"]},
                required=True,
                listed=True,
            ),
            "continuum": truth_field("Continuum", "Make an image of the continuum of each field.", default=True),
            "cubes": Field(
                title="Cubes",
                description=f"One a line: {CUBE_LINE}; for example {line}. Start and width are velocities (LSRK, "
                "radio), frequencies or numbers of channels; no width is finer than the data's channels.",
                parser=_checked_by_rule,
                shown={**LINES, "examples": [line]},
                listed=True,
            ),
            "angular_resolution_arcsec": Field(
                title="Angular resolution [arcsec]",
                description="The wanted resolution. Empty: that of the data.",
                parser=_checked_by_rule,
                shown=REAL,
            ),
            "self_calibration": truth_field("Self-calibration", "Calibrate the target on itself before it is imaged."),
            "asked_by": Field(
                title="Name",
                description="The requester, if not the user who triggers this. Empty: that user.",
                parser=_checked_by_rule,
                shown=ONE_LINE,
                section=_USER,
            ),
            "asked_by_email": Field(
                title="E-mail",
                description="Where that person can be notified.",
                parser=_checked_by_rule,
                shown=ONE_LINE,
                section=_USER,
            ),
            "recipe": recipe_field(family, _RUN),
            **resource_fields(SITE, _RUN),
        },
        rule=rule,
    )


def _ingest(family: Family) -> Form:
    return Form(
        dag_id=family.ingest_dag,
        fields={
            "pipeline_run_id": run_field(family),
            **report_and_template(
                "Target flags",
                TARGET_FLAGS,
                "The path of a flagtargetstemplate.txt that is to be archived with the images.",
                "The path of a qa_report.txt. It becomes a file of the weblog, to which the notes have a link.",
            ),
        },
        rule=partial(each_file_once, template=TARGET_FLAGS),
    )


def _fail(family: Family) -> Form:
    mous = Field(
        title="MOUS",
        description="Or a MOUS, with all open versions of everything that was asked of it: its UID.",
        parser=mous_uid,
        shown=ONE_LINE,
    )
    return fail_form(family, {"mous": mous})


def _assign(family: Family) -> Form:
    return Form(
        dag_id=str(family.assign_dag),
        fields={
            "pipeline_run_id": run_field(family),
            "data_analyst": text_field(
                "Data analyst",
                "The mail address of the analyst, one of those in the settings. Empty: the managers are asked.",
                254,
            ),
        },
    )


def _checked_by_rule(value: object) -> object:
    return value
