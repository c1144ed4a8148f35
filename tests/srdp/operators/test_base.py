from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from srdp.domain.errors import IntegrityError, Refused, ServiceUnavailable, SrdpError
from srdp.operators.base import SrdpOperator, asked_by, explained


class Step(SrdpOperator):
    def run_step(self, context):
        if error := context.get("error"):
            raise error
        return "done"

    def execute_complete(self, context, event):
        return (event, self.run_step(context))


@pytest.mark.parametrize("error", [IntegrityError("File a is broken"), Refused("No"), SrdpError("No")])
def test_an_explained_error_fails_the_task_without_a_retry(error):
    with pytest.raises(AirflowFailException, match=str(error)) as caught:
        Step(task_id="t").execute({"error": error})
    assert caught.value.__suppress_context__


def test_the_sentence_stands_in_the_log_once_and_without_frames():
    log = mock.Mock()
    with pytest.raises(AirflowFailException), explained(log):
        raise Refused("Not 100% right")
    assert log.mock_calls == [mock.call.error("%s", "Not 100% right")]


def test_an_unavailable_service_leaves_the_retries_to_airflow():
    with pytest.raises(AirflowException, match="NGAS is down") as caught:
        Step(task_id="t").execute({"error": ServiceUnavailable("NGAS is down")})
    assert not isinstance(caught.value, AirflowFailException)


def test_a_subclass_may_name_more_retryable_errors():
    class Stubborn(Step):
        retryable_errors = (ServiceUnavailable, Refused)

    with pytest.raises(AirflowException) as caught:
        Stubborn(task_id="t").execute({"error": Refused("Not yet")})
    assert not isinstance(caught.value, AirflowFailException)


def test_a_resumed_task_follows_the_same_rules():
    step = Step(task_id="t")
    with pytest.raises(AirflowFailException, match="Never"):
        step.resume_execution("execute_complete", {"event": 1}, {"error": Refused("Never")})
    assert step.resume_execution("execute_complete", {"event": 1}, {}) == (1, "done")


def test_what_is_not_explained_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        Step(task_id="t").execute({"error": ZeroDivisionError()})


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
