"""How a task of this project retries: the policies of :mod:`srdp.domain.runs.retry` in Airflow's own terms.

Airflow counts tries, and asks a task's ``retry_policy`` after each failure. Here the count is out of reach, and the
decision is made where the failure happens, by the time since the first failure; Airflow gets the pause. What is
remembered between the tries is in Airflow's task state store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from airflow.sdk import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowRuntimeError,
    AirflowSkipException,
    TaskAwaitingInput,
    TaskDeferred,
)

from srdp.domain.common.errors import ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.events.names import EventName
from srdp.domain.runs.retry import DEFAULT_HOURS, MOST_KILLED, MOST_UNEXPLAINED, POLICIES, Wait, explained_error
from srdp.domain.runs.retry import RetryPolicy as Policy
from srdp.operators.failure_record import record_failure, record_wait

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

# Out of reach: with the longest pause it is a week.
_TRIES: Final = 1000
_KEY: Final = "waits"
_NOT_FAILURES: Final = (AirflowSkipException, AirflowRescheduleException)


class TryAgain(AirflowException):
    """A step failed for a cause that heals.

    Attributes:
        pause: after what time it is tried again.
    """

    def __init__(self, sentence: str, pause: timedelta) -> None:
        super().__init__(sentence)
        self.pause = pause


class RetryByTime(RetryPolicy):
    """Tells Airflow the pause that was decided where the failure happened.

    Args:
        name: one of :data:`srdp.domain.runs.retry.POLICIES`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.policy = POLICIES[name]

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002  tries that never started count there
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Return the pause that a failure brought along; Airflow's own for what is not ours."""
        if isinstance(exception, TryAgain):
            return RetryDecision.retry(delay=exception.pause, reason=str(exception))
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return the policy's name."""
        return {"name": self.name}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> RetryByTime:
        """Return the policy of a name."""
        return cls(data["name"])


def retries(name: str) -> dict[str, Any]:
    """Return the arguments of a task that make it retry by a policy.

    Args:
        name: one of :data:`srdp.domain.runs.retry.POLICIES`.
    """
    return {
        "retries": _TRIES,
        "retry_policy": RetryByTime(name),
        # These are Airflow's own, for a process that was killed before it could say anything.
        "retry_delay": POLICIES[name].first_pause,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": POLICIES[name].longest_pause,
    }


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def tried(task: BaseOperator, context: Context, *, begins: bool = True, recorded: bool = True) -> Iterator[None]:
    """Turn the failure of a try into what Airflow understands, by the policy of its task.

    The sentence is logged at ERROR by itself, before Airflow's own record of the exception, which holds frames. It is
    raised ``from None``: the sentence has said what happened underneath.

    Args:
        task: the task.
        context: its context.
        begins: False for a part of a try that comes after the task was deferred.
        recorded: whether a failure is left for the step that reports it.

    Raises:
        TryAgain: a cause that heals.
        AirflowFailException: any other cause, or it was waited for long enough.
    """
    policy = getattr(getattr(task, "retry_policy", None), "policy", POLICIES["step"])
    attempt = _Attempt(task, context, policy, recorded=recorded)
    if begins:
        attempt.begin()
    try:
        yield
    except (*_NOT_FAILURES, TaskDeferred, TaskAwaitingInput):
        attempt.hand_over()
        raise
    except AirflowRuntimeError as error:
        attempt.fail(ServiceUnavailable(f"Airflow's task API does not serve: {quoted(error, 300)}."))
    except Exception as error:
        known = explained_error(error)
        if known is None:
            attempt.fail_unexplained(error)
            raise
        attempt.fail(known)
    attempt.succeed()


@dataclass
class _Attempt:
    """One try of a task."""

    task: BaseOperator
    context: Context
    policy: Policy
    recorded: bool
    _wait: Wait | None = None

    def begin(self) -> None:
        """Count the try, unless it is the first, and gives up a step whose process is killed again and again."""
        if self._is_first:
            return
        wait = self.wait
        if wait.begun >= MOST_KILLED:
            self._give_up(
                SrdpError(
                    f"The step's process was killed {wait.begun} times before it could say why: look at the "
                    "machine's memory and at the task's logs."
                ),
                wait,
            )
        self.wait = replace(wait, begun=wait.begun + 1)

    def hand_over(self) -> None:
        """Note that the try was not killed: it was skipped, or waits in the triggerer or for a person."""
        if not self._is_first and self.wait.begun:
            self.wait = replace(self.wait, begun=0)

    def succeed(self) -> None:
        """Forgets the failures: a task that is cleared later begins again."""
        if not self._is_first:
            self._forget()

    def fail(self, error: SrdpError) -> None:
        """Decides what becomes of a failure that is explained."""
        if not self.policy.heals(error):
            self._give_up(error, self.wait)
        now = _now()
        wait = self.wait.failed(now)
        since = wait.since or now
        until = since + self._patience
        if now >= until:
            self._give_up(error, wait)
        pause = self.policy.pause(wait.failures)
        if not wait.notified and self.policy.must_notify(error, now - since):
            wait = replace(wait, notified=record_wait(self.context, self.task.log, error, since, until))
        self.wait = wait
        self._record(error, EventName.STEP_WAITS if wait.failures == 1 else None)
        shown = (
            f"{error} Waiting since {since:%Y-%m-%d %H:%M:%S} UTC (try {wait.failures}); the next try is at "
            f"{now + pause:%H:%M:%S} UTC, the last at {until:%Y-%m-%d %H:%M} UTC."
        )
        self.task.log.error("%s", shown)
        raise TryAgain(shown, pause) from None

    def fail_unexplained(self, error: Exception) -> None:
        """Lets some failures pass that nobody foresaw, and then gives up."""
        wait = replace(self.wait, begun=0, unexplained=self.wait.unexplained + 1)
        is_last = wait.unexplained >= MOST_UNEXPLAINED
        self._record(error, EventName.STEP_FAILED)
        if is_last:
            self._forget()
            self.task.log.error("The step failed %d times like this and is given up.", wait.unexplained, exc_info=error)
            raise AirflowFailException(f"{type(error).__name__}: {quoted(error, 300)}") from error
        self.wait = wait

    @property
    def wait(self) -> Wait:
        """What is remembered; nothing where there is no store, in a test, or it cannot be reached."""
        if self._wait is None:
            self._wait = Wait.from_json(self._ask("get"))
        return self._wait

    @wait.setter
    def wait(self, wait: Wait) -> None:
        self._wait = wait
        self._ask("set", wait.as_json())

    @property
    def _is_first(self) -> bool:
        number = getattr(self.context.get("ti"), "try_number", None)
        return not isinstance(number, int) or number <= 1

    @property
    def _patience(self) -> timedelta:
        from srdp.settings import load_settings

        if self.policy.total_time is not None:
            return self.policy.total_time
        try:
            return timedelta(hours=load_settings().retry_hours)
        except SettingsError:
            return timedelta(hours=DEFAULT_HOURS)

    def _forget(self) -> None:
        self._wait = Wait()
        self._ask("delete")

    def _ask(self, action: str, *values: Any) -> object:  # noqa: ANN401  JSON
        store = cast("Any", self.context).get("task_state_store")
        if store is None:
            return None
        try:
            return getattr(store, action)(_KEY, *values)
        except Exception as error:  # noqa: BLE001  the failure that is reported must be the step's own
            self.task.log.warning("Airflow's task state store does not answer: %s", quoted(error, 300))
            return None

    def _record(self, error: Exception, event: EventName | None) -> None:
        if self.recorded:
            record_failure(self.context, self.task.log, error, event=event)

    def _give_up(self, error: SrdpError, wait: Wait) -> None:
        if wait.since is not None and wait.failures > 1:
            error = SrdpError(f"{error} It was tried since {wait.since:%Y-%m-%d %H:%M} UTC, {wait.failures} times.")
        self._record(error, EventName.STEP_FAILED)
        self._forget()
        self.task.log.error("%s", str(error))
        if (report := getattr(self.task, "given_up", None)) is not None:
            report(self.context, error)
        raise AirflowFailException(str(error)) from None
