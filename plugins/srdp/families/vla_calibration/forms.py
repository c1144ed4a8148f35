"""The forms of the DAGs that calibrate VLA data."""

from __future__ import annotations

from functools import partial

from srdp.domain.analyst_files.names import FLAG_TEMPLATE
from srdp.domain.common.errors import quoted
from srdp.domain.common.form_fields import ONE_LINE, REAL, WHOLE, Field, Form, choice, either, whole_number
from srdp.domain.qa.verdict import QaFlag, qa_score
from srdp.domain.runs.identifiers import execution_block_name, locator, project_code
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


def forms(family: Family) -> tuple[Form, ...]:
    """Return the forms of the family's DAGs."""
    return (
        _calibration(family),
        rerun_form(family, "an execution block's name"),
        _pass(family),
        _fail(family),
        withdrawal_form(family),
        cleanup_form(family),
    )


def _calibration(family: Family) -> Form:
    def sentence(value: object) -> str:
        return (
            f"{quoted(value)} is neither the name of a VLA execution block nor its locator: give one of them as the "
            "archive shows it, for example 13A-537.sb24066356.eb24324502.56514.05971091435."
        )

    block = Field(
        title="Execution block",
        description="Its name, or its locator in the archive.",
        parser=either(execution_block_name, locator, sentence),
        shown={**ONE_LINE, "examples": ["13A-537.sb24066356.eb24324502.56514.05971091435"]},
        required=True,
    )
    return Form(
        dag_id=family.kind, fields={"execution_block": block, "recipe": recipe_field(family), **resource_fields(SITE)}
    )


def _pass(family: Family) -> Form:
    flags = [str(flag) for flag in QaFlag]
    return Form(
        dag_id=family.ingest_dag,
        fields={
            "pipeline_run_id": run_field(family),
            "qa_flag": Field(
                title="QA flag",
                description="The SRDP verdict; Null: no SRDP QA was done.",
                parser=choice("QA flag", flags),
                shown={**ONE_LINE, "enum": flags},
                required=True,
            ),
            "qa_comments": text_field(
                "QA comments", "They are shown in the weblog and in the archive.", 20_000, lines=True
            ),
            "qa_analyst": text_field("QA analyst", "The analyst, if not you. Empty: what the report says.", 200),
            "qa_standard": text_field("QA standard", "Empty: what the report says, or SRDP Pilot.", 200),
            "qa_score": Field(
                title="QA score",
                description="From 0 to 1. Empty: 1 for Pass, 0 for Fail, none for Null.",
                parser=qa_score,
                shown=REAL,
            ),
            **report_and_template("Flag template", FLAG_TEMPLATE, "The path of a flagtemplate.txt."),
        },
        rule=partial(each_file_once, template=FLAG_TEMPLATE),
    )


def _fail(family: Family) -> Form:
    return fail_form(
        family,
        {
            "execution_block": Field(
                title="Execution block",
                description="Or an execution block, with all its open versions: its name.",
                parser=execution_block_name,
                shown=ONE_LINE,
            ),
            "project": Field(
                title="Project",
                description="Or a project, with every run that waits for QA: its code, for example 13A-537.",
                parser=project_code,
                shown=ONE_LINE,
            ),
            "number": Field(
                title="Number of runs",
                description="With a project only: empty the first time, then the number that the refusal names.",
                parser=whole_number("Number of runs", 1, 999_999),
                shown=WHOLE,
            ),
        },
    )
