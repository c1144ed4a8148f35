"""What the forms of families are made of: fields that several have, and the forms that differ only in their texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from srdp.domain.analyst_files.names import ADAPT
from srdp.domain.analyst_files.submitted import (
    QA_REPORT,
    check_given_once,
    check_pasted,
    check_path,
)
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import (
    LINES,
    ONE_LINE,
    WHOLE,
    Field,
    Form,
    choice,
    either,
    text,
    truth_field,
    whole_number,
)
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.runs.qa_failure import failed_qa, failure_reason, withdrawal_reason
from srdp.domain.site.engine_names import EngineName
from srdp.families.protocol import Family

#: What an empty field means where the site has a setting for it.
SITE: Final = "Empty: the site's setting."
_FORMER: Final = "Empty: as the former run."
_PASTED: Final = "The file itself, instead of its path."
_CASA: Final = "CASA"


def file_fields(family: Family) -> Mapping[str, tuple[str, str]]:
    """Return the names of the two fields for each file of a run: of its path, and of its text.

    Args:
        family: whose run it is.
    """
    return {name: (file.form_field, f"{file.form_field}_text") for name, file in family.inputs.files.items()}


def text_field(
    title: str,
    description: str,
    longest: int,
    *,
    lines: bool = False,
    required: bool = False,
    section: str | None = None,
) -> Field:
    """Return a field for free text."""
    return Field(
        title=title,
        description=description,
        parser=text(title, longest, lines=lines),
        shown=LINES if lines else ONE_LINE,
        required=required,
        section=section,
    )


def path_field(file: str, title: str, description: str, section: str) -> Field:
    """Return a field for the path of a file."""
    return Field(
        title=title, description=description, parser=partial(check_path, file), shown=ONE_LINE, section=section
    )


def file_field(file: str, title: str, description: str, section: str) -> Field:
    """Return a field for a file itself."""
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
    """Return the field for a reason."""
    return Field(title="Reason", description=description, parser=parser, shown=LINES, required=True)


def recipe_field(family: Family, section: str | None = None) -> Field:
    """Return the field for the recipe, which is the family's own by default."""
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
    """Return the fields for the engine and what it is asked for; ``empty`` says what an empty field means."""
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


def rerun_form(family: Family, subject: str) -> Form:
    """Return the form of a family's reruns; ``subject`` is what they may name beside a pipeline run ID."""

    def sentence(value: object) -> str:
        return f"{quoted(value)} is neither a pipeline run ID nor {subject}: copy one of them from the mail."

    files = file_fields(family)

    def rule(given: Mapping[str, object]) -> None:
        for file, (path, pasted) in files.items():
            check_given_once(file, given[path], given[pasted])

    run = Field(
        title="Run",
        description=f"A pipeline run ID, for example {family.name}-20261122-182453-4f7k. "
        f"Or {subject}, which means its newest run.",
        parser=either(pipeline_run_id, family.check_subject, sentence),
        shown=ONE_LINE,
        required=True,
    )
    where = "The absolute path of the {}. Empty: the one pasted below, or that of the former run."
    return Form(
        dag_id=family.rerun_dag,
        fields={
            "run": run,
            **{path: path_field(file, file, where.format(file), "Files, by path") for file, (path, _) in files.items()},
            **{
                pasted: file_field(file, f"{file}, pasted", f"The {file} itself, instead of its path.", "Files, pasted")
                for file, (_, pasted) in files.items()
            },
            "adapt": truth_field(
                ADAPT,
                "Add the stage that reads a file and that the PPR lacks, and take out the one that would write the "
                "file again. The log shows the difference; both PPRs are kept.",
                section="Files, by path",
            ),
            "casa_release": text_field(
                "CASA release", f"What the site's settings call it. {_FORMER}", 64, section=_CASA
            ),
            **resource_fields(_FORMER, _CASA),
            "reopen": truth_field(
                "Reopen", "Rerun although a run of the request was archived.", section="After a pass"
            ),
        },
        rule=rule,
    )


def report_and_template(
    title: str, template: str, of_template: str, of_report: str = "The path of a qa_report.txt."
) -> dict[str, Field]:
    """Return the fields for the files that are given with a verdict."""
    return {
        "qa_report": path_field(QA_REPORT, "QA report", of_report, "QA report"),
        "qa_report_text": file_field(QA_REPORT, "QA report, pasted", _PASTED, "QA report"),
        "flag_template": path_field(template, title, of_template, title),
        "flag_template_text": file_field(template, f"{title}, pasted", _PASTED, title),
    }


def each_file_once(given: Mapping[str, object], *, template: str) -> None:
    """Refuse a report or a flag template that is given both by its path and by its text."""
    check_given_once(QA_REPORT, given["qa_report"], given["qa_report_text"])
    check_given_once(template, given["flag_template"], given["flag_template_text"])


def withdrawal_form(family: Family) -> Form:
    """Return the form for taking a verdict back."""
    reason = reason_field("Why; it is shown in the ledger and in the mail.", withdrawal_reason)
    return Form(dag_id=family.withdraw_dag, fields={"pipeline_run_id": run_field(family), "reason": reason})


def fail_form(family: Family, named: Mapping[str, Field]) -> Form:
    """Return the form for a failed QA; ``named`` are the fields that name runs in other ways than by ID."""

    def rule(given: Mapping[str, object]) -> None:
        try:
            failed_qa(
                family.check_subject,
                run_id=given["pipeline_run_id"],
                subject=given.get(family.subject_field),
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


def cleanup_form(family: Family) -> Form:
    """Return the form of a cleanup."""
    return Form(dag_id=family.cleanup_dag, fields={"pipeline_run_id": run_field(family)})
