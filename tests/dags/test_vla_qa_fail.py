from __future__ import annotations

from collections.abc import Mapping

import jinja2
import pytest
from airflow.sdk import DAG, TriggerRule

RUN = "vla-20261122-182453-4f7k"
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["vla_qa_fail"]


def test_the_decision_comes_first_and_the_directories_last(dag: DAG) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "fail_qa": {"mark_do_not_calibrate", "mail_rejected"},
        "mark_do_not_calibrate": {"remove_directories", "report_unmarked"},
        "mail_rejected": set(),
        "remove_directories": set(),
        "report_unmarked": set(),
    }
    rules = {task.task_id: TriggerRule(task.trigger_rule) for task in dag.tasks}
    assert rules.pop("report_unmarked") is TriggerRule.ONE_FAILED
    assert set(rules.values()) == {TriggerRule.ALL_SUCCESS}
    assert dag.max_active_runs == 1


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"pipeline_run_id": RUN, "execution_block": None, "project": None}, RUN),
        ({"pipeline_run_id": None, "execution_block": EB, "project": None}, EB),
        ({"pipeline_run_id": None, "execution_block": None, "project": "22A-126"}, "22A-126"),
        ({"pipeline_run_id": None, "execution_block": None, "project": None}, ""),
    ],
)
def test_the_grid_shows_what_fails(dag: DAG, params: dict[str, str | None], shown: str) -> None:
    task = dag.get_task("fail_qa")
    assert task.is_mapped
    template = task.partial_kwargs["map_index_template"]
    assert jinja2.Environment(autoescape=False).from_string(template).render(params=params) == shown  # noqa: S701


def test_the_runs_are_handed_on_by_the_first_step_only(dag: DAG) -> None:
    for name in ("mark_do_not_calibrate", "remove_directories"):
        template = jinja2.Environment(autoescape=False).from_string(dag.get_task(name).pipeline_run_ids)  # noqa: S701

        class Task:
            handed_on: object = [RUN, "second"]

            def xcom_pull(self, task_ids: str, map_indexes: int) -> object:
                assert (task_ids, map_indexes) == ("fail_qa", 0)
                return self.handed_on

        assert template.render(ti=Task()) == f"{RUN} second"
        nothing = Task()
        nothing.handed_on = None
        with pytest.raises(TypeError):
            template.render(ti=nothing)


def test_the_report_of_a_missing_mark_finds_nothing_where_nothing_was_decided(dag: DAG) -> None:
    environment = jinja2.Environment(autoescape=False)  # noqa: S701
    template = environment.from_string(dag.get_task("report_unmarked").pipeline_run_ids)
    for handed_on, rendered in ((None, ""), ([RUN, "second"], f"{RUN} second")):

        class Task:
            @staticmethod
            def xcom_pull(task_ids: str, map_indexes: int, handed_on: object = handed_on) -> object:
                assert (task_ids, map_indexes) == ("fail_qa", 0)
                return handed_on

        assert template.render(ti=Task()) == rendered
