from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from srdp.domain.errors import IntegrityError, InvalidInput, Refused, ServiceUnavailable, SettingsError, SrdpError
from srdp.operators import base
from srdp.operators.base import SrdpOperator, asked_by, explained


class Step(SrdpOperator):
    def run_step(self, context):
        if error := context.get("error"):
            raise error
        return "done"

    def execute_complete(self, context, event):
        return (event, self.run_step(context))


def first():
    with DAG("d", schedule=None):
        return Step(task_id="t")


def later():
    with DAG("d", schedule=None):
        before, step = Step(task_id="first"), Step(task_id="t")
        before.set_downstream(step)
    return step


def started(run_type="manual", **context):
    return {"dag_run": SimpleNamespace(dag_id="d", run_id="r", run_type=run_type), "ti": mock.Mock(), **context}


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """Whether the DAG run has opened a run or is ingesting one."""
    has_opened = mock.Mock(return_value=False)
    monkeypatch.setattr(base, "works_on_a_run", has_opened)
    return has_opened


@pytest.mark.parametrize("error", [IntegrityError("File a is broken"), SettingsError("Set it"), SrdpError("No")])
def test_an_explained_error_fails_the_task_without_a_retry(error):
    with pytest.raises(AirflowFailException, match=str(error)) as caught:
        Step(task_id="t").execute(started(error=error))
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("error", [InvalidInput("No run is called so"), Refused("It is active")])
def test_what_the_first_task_refuses_is_an_answer_and_no_failure(error):
    context = started(error=error, map_index_template="{{ task.run }}")
    with pytest.raises(AirflowSkipException, match=str(error)):
        first().execute(context)
    # The grid's name of the task; the sentence is no part of the template, whatever stands in it.
    assert context["map_index_template"] == "Refused: {{ refusal }}"
    assert context["refusal"] == str(error)
    # For programs.
    context["ti"].xcom_push.assert_called_once_with(key="refusal", value=str(error))


def test_what_is_not_mapped_has_no_name_to_tell_it_in():
    context = started(error=Refused("It is active"))
    with pytest.raises(AirflowSkipException):
        first().execute(context)
    assert "map_index_template" not in context


def test_what_a_later_task_refuses_is_a_failure():
    with pytest.raises(AirflowFailException):
        later().execute(started(error=Refused("No")))


@pytest.mark.parametrize("run_type", ["scheduled", "operator_triggered"])
def test_a_refusal_that_nobody_asked_for_is_a_failure(run_type):
    with pytest.raises(AirflowFailException):
        first().execute(started(run_type, error=Refused("No")))


def test_a_refusal_of_a_dag_run_that_has_opened_a_run_is_a_failure(opened):
    """... else a DAG run whose pipeline run failed would turn green when its first task is cleared."""
    opened.return_value = True
    with pytest.raises(AirflowFailException):
        first().execute(started(error=Refused("It is not begun again")))


def test_faults_of_the_form_are_refused_before_the_step(monkeypatch):
    monkeypatch.setattr(Step, "run_step", mock.Mock())
    step = first()
    dag_run = SimpleNamespace(dag_id="expire_processing_area", run_type="manual", conf={"dryrun": True})
    context = {"dag_run": dag_run, "ti": mock.Mock()}
    step.pre_execute(context)
    with pytest.raises(AirflowSkipException, match="did you mean dry_run"):
        step.execute(context)
    assert not Step.run_step.called


def test_only_the_first_task_looks_at_the_form():
    step = later()
    step.pre_execute({"dag_run": SimpleNamespace(dag_id="expire_processing_area", conf={"dryrun": True})})
    assert step.faults.sentences == []


def test_the_sentence_stands_in_the_log_once_and_without_frames():
    log = mock.Mock()
    with pytest.raises(AirflowFailException), explained(log):
        raise Refused("Not 100% right")
    assert log.mock_calls == [mock.call.error("%s", "Not 100% right")]


def test_an_unavailable_service_leaves_the_retries_to_airflow():
    with pytest.raises(AirflowException, match="NGAS is down") as caught:
        Step(task_id="t").execute(started(error=ServiceUnavailable("NGAS is down")))
    assert not isinstance(caught.value, AirflowFailException)


def test_a_subclass_may_name_more_retryable_errors():
    class Stubborn(Step):
        retryable_errors = (ServiceUnavailable, Refused)

    with pytest.raises(AirflowException) as caught:
        Stubborn(task_id="t").execute(started(error=Refused("Not yet")))
    assert not isinstance(caught.value, AirflowFailException)


def test_a_resumed_task_follows_the_same_rules():
    step = Step(task_id="t")
    with pytest.raises(AirflowFailException, match="Never"):
        step.resume_execution("execute_complete", {"event": 1}, started(error=SrdpError("Never")))
    assert step.resume_execution("execute_complete", {"event": 1}, {}) == (1, "done")


def test_what_is_not_explained_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        Step(task_id="t").execute(started(error=ZeroDivisionError()))


def test_the_result_is_what_the_step_returned():
    assert Step(task_id="t").execute({}) == "done"


@pytest.mark.parametrize(
    ("person", "run_type", "said"),
    [
        ("ada", "manual", "ada"),
        (None, "operator_triggered", "another DAG"),
        (None, "scheduled", "its schedule"),
        (None, "manual", "manual"),
    ],
)
def test_who_asked_is_said_in_words(person, run_type, said):
    assert asked_by({"dag_run": SimpleNamespace(triggering_user_name=person, run_type=run_type)}) == said
