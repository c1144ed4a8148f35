"""The form of every DAG; a DAG that is started by itself has one without fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from srdp.domain.common.form_fields import (
    WHOLE,
    Field,
    Form,
    truth_field,
    whole_number,
)
from srdp.domain.forms.run_forms import calibration_form, imaging_form, rerun_form
from srdp.domain.forms.shared_fields import run_field
from srdp.domain.forms.verdict_forms import (
    alma_qa_fail_form,
    assignment_form,
    ingest_form,
    qa_pass_form,
    vla_qa_fail_form,
    withdrawal_form,
)
from srdp.domain.runs.families import ALMA, FAMILIES, VLA


def _expiry() -> Form:
    dry_run = truth_field("Dry run", "Only report what would be removed: nothing is removed or recorded.")
    title = "Number of removals"
    number = Field(
        title=title,
        description="Only if a mail has asked you to confirm a removal: the number that it"
        "names. At most so many are removed.",
        parser=whole_number(title, 1, 999_999),
        shown=WHOLE,
    )
    return Form(dag_id="expire_processing_area", fields={"dry_run": dry_run, "number": number})


#: The form of each DAG, by the DAG's id.
FORMS: Final[Mapping[str, Form]] = {
    form.dag_id: form
    for form in (
        calibration_form(),
        rerun_form(VLA, "an execution block's name"),
        qa_pass_form(),
        vla_qa_fail_form(),
        imaging_form(),
        rerun_form(ALMA, "a MOUS's UID"),
        ingest_form(),
        alma_qa_fail_form(),
        assignment_form(),
        *(withdrawal_form(family) for family in FAMILIES),
        *(Form(dag_id=family.cleanup_dag, fields={"pipeline_run_id": run_field(family)}) for family in FAMILIES),
        _expiry(),
        *(
            Form(dag_id=dag_id, fields={})
            for dag_id in ("check_settings", "send_mails_and_reconcile", "watch_observations")
        ),
    )
}
