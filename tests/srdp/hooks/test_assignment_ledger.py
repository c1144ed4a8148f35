from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.stack import progress
from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.common.mail import Mail
from srdp.domain.runs.states import RunState

pytestmark = pytest.mark.servers

ONE, TWO = "one@example.org", "two@example.org"
DAG = "alma_assign_qa"


@pytest.fixture
def images(ledger, open_run):
    """Open an imaging that awaits its verdict, or is in another state."""

    def opened(state=RunState.AWAITING_QA, **changes):
        run = open_run(kind="alma_imaging", subject="uid://A001/X1288/X3f", **changes)
        for state_on_the_way in (RunState.FETCHING, RunState.PROCESSING, state):
            ledger.runs.transition(run.pipeline_run_id, state_on_the_way, event="x")
        return run.pipeline_run_id

    return opened


def mail(key, to=ONE):
    return Mail(key=key, recipients=(to,), subject="x", text="x", html="x")


def assign(ledger, run_id, analyst=ONE, answer="a", dag_run_id=None, by="mia"):
    def mails(new, former):
        made = [mail(f"qa_assigned_{new.number}", new.data_analyst)]
        return [*made, mail(f"qa_reassigned_{new.number}", former.data_analyst)] if former else made

    return ledger.assignments.assign(
        run_id, analyst, assigned_by=by, answer=answer, dag_id=DAG, dag_run_id=dag_run_id or run_id, mails=mails
    )


def mails_of(ledger, run_id):
    return [(mail.key, *mail.recipients) for mail in ledger.outbox.mails(run_id)]


def test_who_has_what_since_when(ledger, images, open_run):
    first, second = images(), images(request_digest="0" * 64)
    open_run()
    images(RunState.FAILED, request_digest="1" * 64)
    assign(ledger, first)
    waiting = {each.run.pipeline_run_id: each for each in ledger.assignments.waiting()}
    assert set(waiting) == {first, second}
    assert waiting[second].assignment is None
    given = waiting[first].assignment
    assert (given.number, given.data_analyst, given.assigned_by) == (1, ONE, "mia")
    assert given.assigned_at >= waiting[first].run.state_since
    assert waiting[first].run == ledger.runs.get(first)
    assert [event.event for event in ledger.events.of_run(first)][-1] == "assigned"


def test_a_calibration_is_nobodys(ledger, open_run):
    run_id = open_run().pipeline_run_id
    for state in (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA):
        ledger.runs.transition(run_id, state, event="x")
    assert ledger.assignments.waiting() == []


def test_reassigning_reports_both(ledger, images):
    run_id = images()
    assign(ledger, run_id)
    new = assign(ledger, run_id, TWO, answer="b", by="noa\0<b>")
    assert (new.number, new.data_analyst) == (2, TWO)
    assert [each.data_analyst for each in ledger.assignments.of_run(run_id)] == [ONE, TWO]
    assert mails_of(ledger, run_id) == [("qa_assigned_1", ONE), ("qa_assigned_2", TWO), ("qa_reassigned_2", ONE)]
    (waiting,) = ledger.assignments.waiting()
    assert waiting.assignment == new


def test_an_answer_is_recorded_once_whatever_was_answered_since(ledger, images):
    run_id = images()
    first = assign(ledger, run_id, answer="a")
    assign(ledger, run_id, TWO, answer="b")
    assert assign(ledger, run_id, answer="a") == first
    assert len(ledger.assignments.of_run(run_id)) == 2


def test_an_answer_that_changed_nothing_changes_nothing_when_it_is_repeated(ledger, images):
    run_id = images()
    first = assign(ledger, run_id, answer="a")
    assert assign(ledger, run_id, answer="b") == first
    second = assign(ledger, run_id, TWO, answer="c")
    for answer in ("b", "a", "c"):
        assign(ledger, run_id, ONE if answer != "c" else TWO, answer=answer)
    assert ledger.assignments.of_run(run_id) == [first, second]
    events = [event.event for event in ledger.events.of_run(run_id)]
    assert events[-3:] == ["assigned", "assignment_confirmed", "assigned"]
    # Whoever asks for it again gets it.
    assert assign(ledger, run_id, answer="d").number == 3


def test_who_has_it_already_is_not_notified_again(ledger, images):
    run_id = images()
    first = assign(ledger, run_id, answer="a")
    assert assign(ledger, run_id, answer="b") == first
    assert mails_of(ledger, run_id) == [("qa_assigned_1", ONE)]


def test_answers_at_once_make_one_row_each(ledger, images):
    run_id = images()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: assign(ledger, run_id, (ONE, TWO)[number % 2], f"a{number // 2}"), range(6)))
    numbers = [each.number for each in ledger.assignments.of_run(run_id)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1 <= len(numbers) <= 3


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.REJECTED])
def test_what_awaits_no_verdict_is_not_assigned(ledger, images, state):
    run_id = images(state if state is RunState.FAILED else RunState.AWAITING_QA)
    if state is RunState.REJECTED:
        ledger.runs.transition(run_id, state, event="rejected")
    with pytest.raises(Refused, match=f"{run_id} was not assigned: it is {state}; "):
        assign(ledger, run_id)
    assert ledger.assignments.of_run(run_id) == []
    assert ledger.outbox.mails(run_id) == []


def test_an_unknown_run_is_not_assigned_and_not_asked_about(ledger):
    unknown = "alma-20261122-182453-4f7k"
    with pytest.raises(InvalidInput, match="holds no pipeline run"):
        assign(ledger, unknown)
    with pytest.raises(InvalidInput, match="holds no pipeline run"):
        ledger.assignments.ask(unknown, dag_id=DAG, dag_run_id="x")


# Questions


def ask(ledger, run_id, dag_run_id=None):
    return ledger.assignments.ask(run_id, dag_id=DAG, dag_run_id=dag_run_id or run_id)


def pointless(ledger):
    return [question.dag_run_id for question in ledger.assignments.pointless_questions()]


def test_a_question_is_asked_until_it_is_answered(ledger, images):
    run_id = images()
    assert ask(ledger, run_id) is None
    assert ask(ledger, run_id) is None
    assert pointless(ledger) == []
    assign(ledger, run_id)
    assert pointless(ledger) == []


def test_a_question_is_pointless_once_the_verdict_is_given(ledger, images):
    run_id = images()
    ask(ledger, run_id)
    ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    (question,) = ledger.assignments.pointless_questions()
    assert (question.pipeline_run_id, question.dag_id, question.dag_run_id) == (run_id, DAG, run_id)
    assert ask(ledger, run_id) == "it is rejected"
    assert pointless(ledger) == []


def test_a_question_is_pointless_once_the_run_was_assigned_by_form(ledger, images):
    run_id = images()
    ask(ledger, run_id)
    assign(ledger, run_id, answer="manual__1", dag_run_id="manual__1")
    assert pointless(ledger) == [run_id]
    # The task is cleared, and asks whether to ask.
    assert ask(ledger, run_id) == f"{ONE} has it"
    assert pointless(ledger) == []


def test_the_dag_run_that_asks_by_itself_may_come_too_late(ledger, images):
    run_id = images()
    assign(ledger, run_id, answer="manual__1", dag_run_id="manual__1")
    assert ask(ledger, run_id) == f"{ONE} has it"
    assert pointless(ledger) == []


@pytest.mark.parametrize("again", ["by form", "cleared"])
def test_who_asks_again_is_let_ask(ledger, images, again):
    run_id = images()
    ask(ledger, run_id)
    assign(ledger, run_id)
    assert ask(ledger, run_id, "manual__1" if again == "by form" else None) is None
    assert pointless(ledger) == []


def test_a_question_whose_dag_run_is_gone_is_closed(ledger, images):
    run_id = images()
    ask(ledger, run_id)
    ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    (question,) = ledger.assignments.pointless_questions()
    ledger.assignments.close_question(question)
    ledger.assignments.close_question(question)
    assert pointless(ledger) == []


# Reminders


def reminder(waiting):
    number = waiting.assignment.number if waiting.assignment else 0
    return mail(f"assignment_reminder_{number}_{waiting.reminders + 1}")


def test_reminders_are_numbered_by_what_they_remind_of(ledger, images):
    run_id = images()
    for _ in range(11):
        (waiting,) = ledger.assignments.waiting()
        assert ledger.assignments.remind(waiting, reminder(waiting))
    assert ledger.assignments.waiting()[0].reminders == 11
    assert ledger.assignments.waiting()[0].reminded_at is not None
    assign(ledger, run_id)
    (waiting,) = ledger.assignments.waiting()
    assert (waiting.reminders, waiting.reminded_at) == (0, None)
    assert ledger.assignments.remind(waiting, reminder(waiting))
    keys = [mail.key for mail in ledger.outbox.mails(run_id)]
    assert keys == [f"assignment_reminder_0_{number}" for number in range(1, 12)] + [
        "qa_assigned_1",
        "assignment_reminder_1_1",
    ]


def test_the_tenth_assignment_does_not_count_the_reminders_of_the_first(ledger, images):
    run_id = images()
    for number in range(10):
        assign(ledger, run_id, (ONE, TWO)[number % 2], answer=str(number))
        if number == 0:
            (waiting,) = ledger.assignments.waiting()
            ledger.assignments.remind(waiting, reminder(waiting))
    (waiting,) = ledger.assignments.waiting()
    assert (waiting.assignment.number, waiting.reminders) == (10, 0)
    ledger.assignments.remind(waiting, reminder(waiting))
    assert ledger.assignments.waiting()[0].reminders == 1


def test_two_who_remind_at_once_remind_once(ledger, images):
    run_id = images()
    (waiting,) = ledger.assignments.waiting()
    with ThreadPoolExecutor(4) as pool:
        queued = list(pool.map(lambda _: ledger.assignments.remind(waiting, reminder(waiting)), range(4)))
    assert sum(queued) == 1
    assert len(ledger.outbox.mails(run_id)) == 1


@pytest.mark.parametrize("meanwhile", ["assigned", "rejected"])
def test_nobody_is_reminded_of_what_has_gone_on(ledger, images, meanwhile):
    run_id = images()
    (waiting,) = ledger.assignments.waiting()
    if meanwhile == "assigned":
        assign(ledger, run_id)
    else:
        ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    assert not ledger.assignments.remind(waiting, reminder(waiting))
    assert not any("reminder" in mail.key for mail in ledger.outbox.mails(run_id))


def test_make_status_says_who_has_what(ledger, images, ledger_url, settings):
    first, second = images(), images(request_digest="0" * 64)
    given = assign(ledger, first)
    assert progress.Ledger(ledger_url, settings.sql).reviewers() == {
        first: f"{ONE} has it since {given.assigned_at:%Y-%m-%d %H:%M}",
        second: "not assigned",
    }
