"""The errors that a person reads: one clear sentence each, never a traceback.

Each message says what is wrong, where (file, line, value) and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class SrdpError(Exception):
    """Base of every error that is explained to a person in one sentence.

    Attributes:
        longest: no message is longer, in characters, wherever it is shown: log, mail, ledger and XCom.
    """

    longest: ClassVar[int] = 2_000

    def __str__(self) -> str:
        """Return the sentence."""
        return shortened(super().__str__(), self.longest)


class InvalidInput(SrdpError):
    """A parameter, a file or a reply does not have the form that it must have."""

    longest = 10_000  # all that is wrong with a form, a sentence a line


class Refused(SrdpError):
    """The state of a run, a request or an observation does not allow what was asked."""


class SettingsError(SrdpError):
    """A setting or a connection is missing or wrong; the message names the variable to set."""


class ServiceUnavailable(SrdpError):
    """A server could not be reached or answered that it cannot serve now; trying again may help."""


class OperatorsNeeded(SrdpError):
    """Trying again does not help until the operators of a system have acted; a person is notified at once."""


class Interrupted(SrdpError):
    """A step was stopped before its end; begun again, it continues from there."""


class IntegrityError(SrdpError):
    """Bytes are not what was recorded: a size, checksum or file differs. Trying again does not help."""


class Faults:
    """Collects what is wrong with what a person gave, so that all of it is reported at once.

    Attributes:
        sentences: what is wrong, in order, each once.
    """

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, text: str) -> None:
        """Add what is wrong; a text of several lines is one sentence a line."""
        self.sentences += [line for line in text.split("\n") if line and line not in self.sentences]

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the sentence of an :class:`InvalidInput` that is raised inside, and continue after it."""
        try:
            yield
        except InvalidInput as error:
            self.add(str(error))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Refuse what was collected together with an :class:`InvalidInput` that is raised inside.

        Raises:
            InvalidInput: as :meth:`refuse`.
        """
        with self.collected():
            yield
        self.refuse()

    def refuse(self) -> None:
        """Raise with all that was collected; return if nothing was.

        Raises:
            InvalidInput: the text has one sentence a line, at most :data:`MOST_FAULTS` of them.
        """
        if not self.sentences:
            return
        more = len(self.sentences) - MOST_FAULTS
        shown = self.sentences[:MOST_FAULTS] + ([f"And {more} more."] if more > 0 else [])
        raise InvalidInput("\n".join(shown))


#: A refusal is mailed; of what was pasted by mistake every line is wrong.
MOST_FAULTS = 50


def shortened(text: str, limit: int) -> str:
    """Return a message, short enough for a log line, a mail or the ledger: without its middle if it is too long.

    Args:
        text: the message.
        limit: how many characters are shown at most; the note of what is left out takes some fifty of them.
    """
    if len(text) <= limit:
        return text
    left_out = f" [... {len(text) - limit} characters are left out ...] "
    kept = max(0, limit - len(left_out))
    head = min(kept, limit * 3 // 4)
    return f"{text[:head]}{left_out}{text[len(text) - (kept - head) :]}"


def quoted(value: object, limit: int = 80) -> str:
    """Return an untrusted value, safe for a sentence, a log line or a mail: quoted, escaped and short.

    Args:
        value: anything that came from outside.
        limit: how many characters are shown at most.
    """
    text = ascii(str(value))
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[0]}"
