"""The forms that start a run: calibration, imaging, rerun."""

from __future__ import annotations

from collections.abc import Mapping

from srdp.domain.analyst_files.names import ADAPT
from srdp.domain.analyst_files.submitted import check_given_once
from srdp.domain.common.errors import quoted
from srdp.domain.common.form_fields import (
    CUBE_LINE,
    LINES,
    ONE_LINE,
    REAL,
    Field,
    Form,
    either,
    truth_field,
)
from srdp.domain.forms.shared_fields import (
    CASA,
    FORMER,
    RUN,
    SITE,
    USER,
    file_field,
    file_fields,
    path_field,
    recipe_field,
    resource_fields,
    text_field,
)
from srdp.domain.runs.families import ALMA, VLA, Family
from srdp.domain.runs.identifiers import execution_block_name, locator, mous_uid, pipeline_run_id


def calibration_form() -> Form:
    """Return the form of a calibration."""

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
        dag_id=VLA.kind, fields={"execution_block": block, "recipe": recipe_field(VLA), **resource_fields(SITE)}
    )


def imaging_form() -> Form:
    """Return the form of a user-initiated imaging."""

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
                section=USER,
            ),
            "asked_by_email": Field(
                title="E-mail",
                description="Where that person can be notified.",
                parser=_checked_by_rule,
                shown=ONE_LINE,
                section=USER,
            ),
            "recipe": recipe_field(ALMA, RUN),
            **resource_fields(SITE, RUN),
        },
        rule=rule,
    )


def _checked_by_rule(value: object) -> object:
    return value


def rerun_form(family: Family, subject: str) -> Form:
    """Return the form of a rerun; the subject is what people call what the family processes."""

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
            "casa_release": text_field("CASA release", f"What the site's settings call it. {FORMER}", 64, section=CASA),
            **resource_fields(FORMER, CASA),
            "reopen": truth_field(
                "Reopen", "Rerun although a run of the request was archived.", section="After a pass"
            ),
        },
        rule=rule,
    )
