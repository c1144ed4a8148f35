"""The forms in which a verdict is given, carried out or taken back, and a review is assigned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from srdp.domain.analyst_files.names import FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.analyst_files.submitted import QA_REPORT, check_given_once
from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.form_fields import (
    ONE_LINE,
    REAL,
    WHOLE,
    Field,
    Form,
    choice,
    whole_number,
)
from srdp.domain.forms.qa_failure import failed_qa, failure_reason, withdrawal_reason
from srdp.domain.forms.shared_fields import PASTED, file_field, path_field, reason_field, run_field, text_field
from srdp.domain.qa.verdict import QaFlag, qa_score
from srdp.domain.runs.families import ALMA, VLA, Family
from srdp.domain.runs.identifiers import execution_block_name, mous_uid, project_code


def qa_pass_form() -> Form:
    """Return the form of a VLA verdict that a run has passed."""
    flags = [str(flag) for flag in QaFlag]
    return Form(
        dag_id=VLA.ingest_dag,
        fields={
            "pipeline_run_id": run_field(VLA),
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
            **_report_and_template("Flag template", FLAG_TEMPLATE, "The path of a flagtemplate.txt."),
        },
        rule=partial(_each_file_once, template=FLAG_TEMPLATE),
    )


def ingest_form() -> Form:
    """Return the form of an ALMA ingest."""
    return Form(
        dag_id=ALMA.ingest_dag,
        fields={
            "pipeline_run_id": run_field(ALMA),
            **_report_and_template(
                "Target flags",
                TARGET_FLAGS,
                "The path of a flagtargetstemplate.txt that is to be archived with the images.",
                "The path of a qa_report.txt. It becomes a file of the weblog, to which the notes have a link.",
            ),
        },
        rule=partial(_each_file_once, template=TARGET_FLAGS),
    )


def _report_and_template(
    title: str, template: str, of_template: str, of_report: str = "The path of a qa_report.txt."
) -> dict[str, Field]:
    return {
        "qa_report": path_field(QA_REPORT, "QA report", of_report, "QA report"),
        "qa_report_text": file_field(QA_REPORT, "QA report, pasted", PASTED, "QA report"),
        "flag_template": path_field(template, title, of_template, title),
        "flag_template_text": file_field(template, f"{title}, pasted", PASTED, title),
    }


def _each_file_once(given: Mapping[str, object], *, template: str) -> None:
    check_given_once(QA_REPORT, given["qa_report"], given["qa_report_text"])
    check_given_once(template, given["flag_template"], given["flag_template_text"])


def withdrawal_form(family: Family) -> Form:
    """Return the form that takes a verdict back."""
    reason = reason_field("Why; it is shown in the ledger and in the mail.", withdrawal_reason)
    return Form(dag_id=family.withdraw_dag, fields={"pipeline_run_id": run_field(family), "reason": reason})


def _qa_fail(family: Family, named: Mapping[str, Field]) -> Form:
    def rule(given: Mapping[str, object]) -> None:
        try:
            failed_qa(
                family,
                run_id=given["pipeline_run_id"],
                subject=next((given[name] for name in ("execution_block", "mous") if name in given), None),
                project=given.get("project"),
                number=given.get("number"),
            )
        except InvalidInput as error:
            # What a field's own parser reports is reported once.
            if not any(_refuses(field, given[name]) for name, field in named.items()):
                raise InvalidInput(str(error)) from None

    reason = "Why, in words that the observers will understand; it is shown in the ledger and in the mail."
    return Form(
        dag_id=family.fail_dag,
        fields={
            "pipeline_run_id": run_field(
                family, "One run: from the mail, or the name of its directory.", required=False
            ),
            **named,
            "reason": reason_field(reason, failure_reason),
        },
        rule=rule,
    )


def _refuses(field: Field, value: object) -> bool:
    try:
        if value is not None:
            field.parser(value)
    except InvalidInput:
        return True
    return False


def vla_qa_fail_form() -> Form:
    """Return the form of a VLA verdict that runs have failed."""
    return _qa_fail(
        VLA,
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


def alma_qa_fail_form() -> Form:
    """Return the form of an ALMA verdict that runs have failed."""
    mous = Field(
        title="MOUS",
        description="Or a MOUS, with all open versions of everything that was asked of it: its UID.",
        parser=mous_uid,
        shown=ONE_LINE,
    )
    return _qa_fail(ALMA, {"mous": mous})


def assignment_form() -> Form:
    """Return the form that assigns a review."""
    return Form(
        dag_id=str(ALMA.assign_dag),
        fields={
            "pipeline_run_id": run_field(ALMA),
            "data_analyst": text_field(
                "Data analyst",
                "The mail address of the analyst, one of those in the settings. Empty: the managers are asked.",
                254,
            ),
        },
    )
