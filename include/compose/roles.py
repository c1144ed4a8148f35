"""The roles of people and programs in the words of Airflow's FAB auth manager.

``docs/operator/accounts-and-areas.md`` says what each may do.
"""

from __future__ import annotations

from typing import Final

#: Which DAGs each role may trigger, beside looking at everything.
TRIGGERED_BY: Final = {
    "Front end": ("alma_imaging",),
    "Data analyst": (
        "vla_calibration",
        "vla_rerun",
        "vla_qa_pass",
        "vla_withdraw_verdict",
        "vla_qa_fail",
        "vla_cleanup",
        "alma_rerun",
        "alma_ingest",
        "alma_withdraw_verdict",
        "alma_qa_fail",
        "alma_cleanup",
        "expire_processing_area",
    ),
    "Operations manager": ("alma_assign_qa", "alma_imaging", "alma_rerun"),
}
#: What a role may do beside that: an analyst stops a run by marking *Run CASA* as failed, a manager answers questions.
_BESIDE: Final = {
    "Data analyst": (("can_edit", "DAG Runs"), ("can_edit", "Task Instances")),
    "Operations manager": (("can_edit", "HITL Detail"), ("menu_access", "HITL Detail")),
}
#: The role that may do all that Airflow's own *Op* may: pools, connections, clearing, marking.
OPERATOR: Final = "Operator"


def roles(viewer: list[tuple[str, str]], operator: list[tuple[str, str]]) -> list[dict[str, object]]:
    """Return the roles with their permissions; each is complete by itself, so that an account needs only one.

    Args:
        viewer: what Airflow's role *Viewer* may, pairs of an action and a resource.
        operator: what its role *Op* may.
    """
    made: list[dict[str, object]] = [{"role": OPERATOR, "perms": operator}]
    for role, dags in TRIGGERED_BY.items():
        perms = [*viewer, *_BESIDE.get(role, ())]
        for dag in dags:
            perms += [("can_edit", f"DAG:{dag}"), ("can_create", f"DAG Run:{dag}")]
        made.append({"role": role, "perms": perms})
    return made
