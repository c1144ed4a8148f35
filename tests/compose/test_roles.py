"""The roles that the first start makes, and the health checks."""

from __future__ import annotations

import re
from pathlib import Path

from compose.healthy import unhealthy
from compose.roles import OPERATOR, TRIGGERED_BY, roles

ROOT = Path(__file__).parents[2]
OPERATORS_GUIDE = (ROOT / "docs" / "operator" / "accounts-and-areas.md").read_text(encoding="utf-8")
DAGS = {path.stem for path in (ROOT / "dags").glob("*.py")}
NAMES = {
    "archive's front end": "Front end",
    "data analysts": "Data analyst",
    "operations managers": "Operations manager",
}


def test_they_may_trigger_what_the_guide_for_operators_says() -> None:
    reported = {}
    for who, what in re.findall(r"(?m)^\| ([^|]+) \| (.+) \|$", OPERATORS_GUIDE):
        for begin, role in NAMES.items():
            if who.startswith(begin):
                reported[role] = set(re.findall(r"`(\w+)`", what))
    assert reported == {role: set(dags) for role, dags in TRIGGERED_BY.items()}
    assert set().union(*reported.values()) <= DAGS


def test_each_may_look_at_everything_and_do_nothing_to_a_dag_that_it_does_not_trigger() -> None:
    looks, operates = [("can_read", "DAGs")], [("can_edit", "Pools")]
    made = {role["role"]: set(role["perms"]) for role in roles(looks, operates)}
    assert made.pop(OPERATOR) == {*operates}
    for role, permissions in made.items():
        assert {*looks} <= permissions
        of_dags = {what for _, what in permissions if what.startswith(("DAG:", "DAG Run:"))}
        assert of_dags == {f"{kind}:{dag}" for kind in ("DAG", "DAG Run") for dag in TRIGGERED_BY[role]}
        assert ("can_create", "DAG Runs") not in permissions, f"{role} could trigger every DAG that it may edit"


def test_a_component_is_healthy_if_the_api_server_says_so() -> None:
    answer = {
        "scheduler": {"status": "healthy"},
        "dag_processor": {"status": None},
        "metadatabase": {"status": "unhealthy"},
    }
    assert unhealthy("scheduler", answer) == ""
    assert unhealthy("dag-processor", answer) == "dag_processor is not known to the API server."
    assert unhealthy("api-server", answer) == "metadatabase is unhealthy to the API server."
