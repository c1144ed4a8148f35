"""The form of every DAG; a DAG that is started by itself has one without fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from srdp.domain.common.form_fields import WHOLE, Field, Form, truth_field, whole_number
from srdp.families import families


def _expiry() -> Form:
    dry_run = truth_field("Dry run", "Only report what would be removed: nothing is removed or recorded.")
    title = "Number of removals"
    number = Field(
        title=title,
        description="Only if a mail has asked you to confirm a removal: the number that it "
        "names. At most so many are removed.",
        parser=whole_number(title, 1, 999_999),
        shown=WHOLE,
    )
    return Form(dag_id="expire_processing_area", fields={"dry_run": dry_run, "number": number})


#: The form of each DAG, by the DAG's id.
FORMS: Final[Mapping[str, Form]] = {
    form.dag_id: form
    for form in (
        *(form for family in families() for form in family.forms()),
        _expiry(),
        *(
            Form(dag_id=dag_id, fields={})
            for dag_id in ("check_settings", "send_mails_and_reconcile", "watch_observations")
        ),
    )
}
