"""The form of every DAG; a DAG that is started by itself has one without fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from srdp.domain.analyst_files.names import ADAPT, ANALYST_FILES, FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.analyst_files.submitted import (
    QA_REPORT,
    check_given_once,
    check_pasted,
    check_path,
)
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import (
    CUBE_LINE,
    LINES,
    ONE_LINE,
    REAL,
    WHOLE,
    Field,
    Form,
    choice,
    either,
    text,
    truth_field,
    whole_number,
)
from srdp.domain.forms.qa_failure import failed_qa, failure_reason, withdrawal_reason
from srdp.domain.runs.families import ALMA, FAMILIES, VLA, Family
from srdp.domain.runs.identifiers import execution_block_name, locator, mous_uid, pipeline_run_id, project_code
from srdp.domain.runs.qa_notes import QaFlag, qa_score
from srdp.domain.site.engine_names import EngineName

_SITE: Final = "Empty: the site's setting."
_FORMER: Final = "Empty: as the former run."
_PASTED: Final = "The file itself, instead of its path."
_USER, _RUN, _CASA = "Who asks", "How it is run", "CASA"


def file_fields(kind: str) -> Mapping[str, tuple[str, str]]:
    """Return the names of the two fields for each file of a run: of its path, and of its text.

    Args:
        kind: what is made, for example ``vla_calibration``.
    """
    return {name: (file.form_field, f"{file.form_field}_text") for name, file in ANALYST_FILES[kind].items()}


def _text(
    title: str,
    description: str,
    longest: int,
    *,
    lines: bool = False,
    required: bool = False,
    section: str | None = None,
) -> Field:
    return Field(
        title=title,
        description=description,
        parser=text(title, longest, lines=lines),
        shown=LINES if lines else ONE_LINE,
        required=required,
        section=section,
    )


def _path(file: str, title: str, description: str, section: str) -> Field:
    return Field(
        title=title, description=description, parser=partial(check_path, file), shown=ONE_LINE, section=section
    )


def _file(file: str, title: str, description: str, section: str) -> Field:
    return Field(
        title=title,
        description=description,
        parser=partial(check_pasted, file),
        shown=LINES,
        section=section,
        verbatim=True,
    )


def _run(family: Family, description: str | None = None, *, required: bool = True) -> Field:
    example = f"{family.name}-20261122-182453-4f7k"
    return Field(
        title="Pipeline run ID",
        description=description or f"From the mail, or the name of the run's directory, for example {example}.",
        parser=pipeline_run_id,
        shown=ONE_LINE,
        required=required,
    )


def _reason(description: str, parser: Callable[[object], str]) -> Field:
    return Field(title="Reason", description=description, parser=parser, shown=LINES, required=True)


def _recipe(family: Family, section: str | None = None) -> Field:
    return Field(
        title="Recipe",
        description=f"The PPR template; {family.kind} is the standard recipe.",
        parser=text("Recipe", 40),
        shown=ONE_LINE,
        default=family.kind,
        required=True,
        section=section,
    )


def _resources(empty: str, section: str | None = None) -> dict[str, Field]:
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


# --- the forms ------------------------------------------------------------------------------------------------------


def _calibration() -> Form:
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
    return Form(dag_id=VLA.kind, fields={"execution_block": block, "recipe": _recipe(VLA), **_resources(_SITE)})


def _imaging() -> Form:
    def rule(given: Mapping[str, object]) -> None:
        from srdp.domain.imaging.request import imaging_request

        asked = {name: given[name] for name in given if name not in {"recipe", "engine", "cores", "memory_gb", "mous"}}
        # What the field of the MOUS itself reports is reported once; who triggers it is put in for a name that is not
        # given.
        mous = "uid://A001/X1/X1"
        imaging_request(**{**asked, "mous": mous, "asked_by": asked["asked_by"] or "somebody"})

    line = "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80"
    return Form(
        dag_id=ALMA.kind,
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
                description="The resolution that is wanted. Empty: that of the data.",
                parser=_checked_by_rule,
                shown=REAL,
            ),
            "self_calibration": truth_field("Self-calibration", "Calibrate the target on itself before it is imaged."),
            "asked_by": Field(
                title="Name",
                description="For whom it is asked, beside who triggers this. Empty: who triggers this.",
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
            "recipe": _recipe(ALMA, _RUN),
            **_resources(_SITE, _RUN),
        },
        rule=rule,
    )


def _checked_by_rule(value: object) -> object:
    return value


def _rerun(family: Family, subject: str) -> Form:
    def sentence(value: object) -> str:
        return f"{quoted(value)} is neither a pipeline run ID nor {subject}: copy one of them from the mail."

    files = file_fields(family.kind)

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
            **{path: _path(file, file, where.format(file), "Files, by path") for file, (path, _) in files.items()},
            **{
                pasted: _file(file, f"{file}, pasted", f"The {file} itself, instead of its path.", "Files, pasted")
                for file, (_, pasted) in files.items()
            },
            "adapt": truth_field(
                ADAPT,
                "Add the stage that reads a file and that the PPR lacks, and take out the one that would write the "
                "file again. The log shows the difference; both PPRs are kept.",
                section="Files, by path",
            ),
            "casa_release": _text("CASA release", f"What the site's settings call it. {_FORMER}", 64, section=_CASA),
            **_resources(_FORMER, _CASA),
            "reopen": truth_field(
                "Reopen", "Rerun although a run of the request was archived.", section="After a pass"
            ),
        },
        rule=rule,
    )


def _qa_pass() -> Form:
    flags = [str(flag) for flag in QaFlag]
    return Form(
        dag_id=VLA.ingest_dag,
        fields={
            "pipeline_run_id": _run(VLA),
            "qa_flag": Field(
                title="QA flag",
                description="The SRDP verdict; Null: no SRDP QA was done.",
                parser=choice("QA flag", flags),
                shown={**ONE_LINE, "enum": flags},
                required=True,
            ),
            "qa_comments": _text("QA comments", "They stand in the weblog and in the archive.", 20_000, lines=True),
            "qa_analyst": _text("QA analyst", "For whom it is given, beside you. Empty: what the report says.", 200),
            "qa_standard": _text("QA standard", "Empty: what the report says, or SRDP Pilot.", 200),
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


def _ingest() -> Form:
    return Form(
        dag_id=ALMA.ingest_dag,
        fields={
            "pipeline_run_id": _run(ALMA),
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
        "qa_report": _path(QA_REPORT, "QA report", of_report, "QA report"),
        "qa_report_text": _file(QA_REPORT, "QA report, pasted", _PASTED, "QA report"),
        "flag_template": _path(template, title, of_template, title),
        "flag_template_text": _file(template, f"{title}, pasted", _PASTED, title),
    }


def _each_file_once(given: Mapping[str, object], *, template: str) -> None:
    check_given_once(QA_REPORT, given["qa_report"], given["qa_report_text"])
    check_given_once(template, given["flag_template"], given["flag_template_text"])


def _withdrawal(family: Family) -> Form:
    reason = _reason("Why; it stands in the ledger and in the mail.", withdrawal_reason)
    return Form(dag_id=family.withdraw_dag, fields={"pipeline_run_id": _run(family), "reason": reason})


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

    reason = "Why, in words that the observers would understand; it stands in the ledger and in the mail."
    return Form(
        dag_id=family.fail_dag,
        fields={
            "pipeline_run_id": _run(family, "One run: from the mail, or the name of its directory.", required=False),
            **named,
            "reason": _reason(reason, failure_reason),
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


def _vla_qa_fail() -> Form:
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


def _alma_qa_fail() -> Form:
    mous = Field(
        title="MOUS",
        description="Or a MOUS, with all open versions of everything that was asked of it: its UID.",
        parser=mous_uid,
        shown=ONE_LINE,
    )
    return _qa_fail(ALMA, {"mous": mous})


def _assign_qa() -> Form:
    return Form(
        dag_id=str(ALMA.assign_dag),
        fields={
            "pipeline_run_id": _run(ALMA),
            "data_analyst": _text(
                "Data analyst",
                "The mail address of who gets the run, one of the settings'. Empty: it is asked.",
                254,
            ),
        },
    )


def _expiry() -> Form:
    dry_run = truth_field("Dry run", "Only say what would be removed: nothing is removed and nothing is recorded.")
    title = "Number of removals"
    number = Field(
        title=title,
        description="Only when a mail has asked whether so much, or so young, is to be removed: the number that it "
        "names. At most so many are removed.",
        parser=whole_number(title, 1, 999_999),
        shown=WHOLE,
    )
    return Form(dag_id="expire_processing_area", fields={"dry_run": dry_run, "number": number})


#: The form of each DAG, by the DAG's id.
FORMS: Final[Mapping[str, Form]] = {
    form.dag_id: form
    for form in (
        _calibration(),
        _rerun(VLA, "an execution block's name"),
        _qa_pass(),
        _vla_qa_fail(),
        _imaging(),
        _rerun(ALMA, "a MOUS's UID"),
        _ingest(),
        _alma_qa_fail(),
        _assign_qa(),
        *(_withdrawal(family) for family in FAMILIES),
        *(Form(dag_id=family.cleanup_dag, fields={"pipeline_run_id": _run(family)}) for family in FAMILIES),
        _expiry(),
        *(
            Form(dag_id=dag_id, fields={})
            for dag_id in ("check_settings", "send_mails_and_reconcile", "watch_observations")
        ),
    )
}
