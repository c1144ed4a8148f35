"""What is retried, how long, after which pauses, and when a person is notified: one policy for every step.

A step fails for a cause that heals (a server or a file system is away, busy, full or not writable: see
:class:`~srdp.domain.common.errors.ServiceUnavailable` and :data:`srdp.domain.files.storage.HEALING`) or for one that
does not. Only the first is retried, at two levels: some times inside the step, so that what it holds is kept
(:class:`RequestRetryPolicy`), and then by new tries of the task (:class:`RetryPolicy`), counted by time and not by
number: a try that never started, because the scheduler or its database was restarted, costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from tenacity.nap import sleep as tenacity_sleep

from srdp.domain.common.errors import Interrupted, OperatorsNeeded, ServiceUnavailable, SettingsError, SrdpError
from srdp.domain.files.storage import storage_error

#: For how long a step waits where the site's settings do not say.
DEFAULT_HOURS: Final = 24.0
#: So many tries in a row may end without a word, their process killed, before the step is given up.
MOST_KILLED: Final = 10
#: So many tries in a row may end with an unexpected error.
MOST_UNEXPLAINED: Final = 3


@dataclass(frozen=True)
class RequestRetryPolicy:
    """How often, and after what pauses, a request that may heal is repeated inside a step.

    Attributes:
        attempts: how often it is made in all.
        first_wait_seconds: the wait before the second attempt; it doubles from one to the next.
        longest_wait_seconds: no wait is longer, but for up to a second that is added by chance.
    """

    attempts: int = 8
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0

    def retrying(
        self, tell: Callable[[RetryCallState], None], sleep: Callable[[float], None] = tenacity_sleep
    ) -> Retrying:
        """Return what repeats a call while a service is unavailable.

        Args:
            tell: called before each wait.
            sleep: how to wait, in seconds.
        """
        return Retrying(
            retry=retry_if_exception_type(ServiceUnavailable),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential_jitter(multiplier=self.first_wait_seconds, max=self.longest_wait_seconds),
            before_sleep=tell,
            sleep=sleep,
            reraise=True,
        )


#: For a server that sends us something: what has come of it is worth two minutes of a worker.
SERVER: Final = RequestRetryPolicy()
#: For one that receives something: nothing is held meanwhile, and the next try of the task looks what is there.
RECEIVER: Final = RequestRetryPolicy(attempts=2, first_wait_seconds=2.0, longest_wait_seconds=2.0)
#: For the transactions on the archive: long enough for a connection that broke and a server that restarts.
DATABASE: Final = RequestRetryPolicy(attempts=4, first_wait_seconds=0.5)
#: For those on the ledger, in seconds in all: a step whose action is done must not forget it.
LEDGER_SECONDS: Final = 60.0


@dataclass(frozen=True)
class RetryPolicy:
    """How a task waits for what heals.

    Attributes:
        why: in what it differs from the others, and why.
        total_time: how long it waits in all, from the first failure on; None: as long as the site's settings say.
        first_pause: the pause before the second try; each further one is twice as long.
        longest_pause: no pause is longer.
        notify_after: how long it has waited when a person is notified by mail; None: never, only the task's log says
            it.
        waits_for_settings: whether a setting that is wrong is waited for as well.
    """

    why: str
    total_time: timedelta | None = None
    first_pause: timedelta = timedelta(seconds=5)
    longest_pause: timedelta = timedelta(minutes=10)
    notify_after: timedelta | None = timedelta(minutes=10)
    waits_for_settings: bool = False

    def heals(self, error: SrdpError) -> bool:
        """Whether an error is waited out, be it that a person has to act first, as where an NGAS is full."""
        return isinstance(error, (ServiceUnavailable, OperatorsNeeded, Interrupted)) or (
            self.waits_for_settings and isinstance(error, SettingsError)
        )

    def must_notify(self, error: SrdpError, waited: timedelta) -> bool:
        """Whether a person is to be notified of a wait by now: at once if it ends only when a person acts.

        Args:
            error: what is waited for.
            waited: for how long.
        """
        if self.notify_after is None:
            return False
        return isinstance(error, OperatorsNeeded) or waited >= self.notify_after

    def pause(self, failures: int) -> timedelta:
        """Return the pause after so many failures in a row."""
        longer: timedelta = self.first_pause * 2.0 ** min(failures - 1, 20)
        return min(longer, self.longest_pause)


#: The policies by name. A step has the first unless its DAG names another.
POLICIES: Final[dict[str, RetryPolicy]] = {
    "step": RetryPolicy("The rule: the steps of a run, of a verdict that removes, of an assignment."),
    "ingest": RetryPolicy(
        "Sooner: the analyst has just given a verdict and waits for the mail about it.",
        notify_after=timedelta(minutes=1),
    ),
    "report": RetryPolicy(
        "Longer: it is the last step that reports a failure, and no mail can report its own.",
        total_time=timedelta(days=7),
        notify_after=None,
    ),
    "daily": RetryPolicy(
        "Shorter: it sends a mail of its own, and the next morning does it again.",
        total_time=timedelta(minutes=30),
        longest_pause=timedelta(minutes=2),
        notify_after=None,
    ),
    "minutely": RetryPolicy(
        "Shorter: it is started again for what is left, and one of its steps must not hold up the others.",
        total_time=timedelta(seconds=30),
        notify_after=None,
    ),
    "continuous": RetryPolicy(
        "What comes meanwhile is to be started within 30 s of the servers' return.",
        first_pause=timedelta(seconds=4),
        longest_pause=timedelta(seconds=20),
        waits_for_settings=True,
    ),
    "check": RetryPolicy("Shorter: a person looks at it.", total_time=timedelta(minutes=1), notify_after=None),
}


@dataclass(frozen=True)
class Wait:
    """What is remembered of a task between its tries.

    Attributes:
        since: when the first of the failures in a row was.
        failures: how many there were in a row.
        begun: how many tries have begun since the last that could say how it ended.
        unexplained: how many tries in a row have ended with an unexpected error.
        notified: whether a person was notified.
    """

    since: datetime | None = None
    failures: int = 0
    begun: int = 0
    unexplained: int = 0
    notified: bool = False

    def failed(self, now: datetime) -> Wait:
        """Return the same after one more failure that heals."""
        return replace(self, since=self.since or now, failures=self.failures + 1, begun=0, unexplained=0)

    def as_json(self) -> dict[str, Any]:
        """Return the same for a JSON document; see :meth:`from_json`."""
        return {**vars(self), "since": self.since and self.since.isoformat()}

    @classmethod
    def from_json(cls, document: object) -> Wait:
        """Return what :meth:`as_json` wrote; a new one from anything else."""
        if not isinstance(document, Mapping) or set(document) != set(vars(cls())):
            return cls()
        since = document["since"]
        return cls(**{**document, "since": datetime.fromisoformat(since) if since else None})


def explained_error(error: Exception) -> SrdpError | None:
    """Return an error as people read it; None if it is a fault of this program.

    Args:
        error: any. What the operating system says without a word of ours is reported as every file system error is.
    """
    if isinstance(error, SrdpError):
        return error
    return storage_error(error, "A file could not be read or written") if isinstance(error, OSError) else None
