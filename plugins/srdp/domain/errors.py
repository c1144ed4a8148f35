"""The errors that a person reads: one clear sentence each, never a traceback.

Each message says what is wrong, where (file, line, value) and what to do.
"""

from __future__ import annotations


class SrdpError(Exception):
    """Base of every error that is explained to a person in one sentence."""


class InvalidInput(SrdpError):
    """A parameter, a file or a reply does not have the form that it must have."""


class Refused(SrdpError):
    """The state of a run, a request or an observation does not allow what was asked."""


class SettingsError(SrdpError):
    """A setting or a connection is missing or wrong; the message names the variable to set."""


class ServiceUnavailable(SrdpError):
    """A server could not be reached or answered that it cannot serve now; trying again may help."""


class IntegrityError(SrdpError):
    """Bytes are not what was recorded: a size, checksum or file differs. Trying again does not help."""


def quoted(value: object, limit: int = 80) -> str:
    """Returns a hostile value as it may stand in a sentence, a log line or a mail: quoted, escaped and short.

    Args:
        value: anything that came from outside.
        limit: how many characters are shown at most.
    """
    text = ascii(str(value))
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[0]}"
