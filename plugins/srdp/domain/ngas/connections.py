"""What can happen to a connection to an NGAS server, as errors that say whether to try again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import requests
import urllib3

from srdp.domain.common.errors import ServiceUnavailable, SettingsError, quoted


class ConnectionFailed(ServiceUnavailable):
    """A server could not be reached, or its reply did not come: whether it did what was asked is not known."""


class ConnectionStalled(ConnectionFailed):
    """Nothing came in time; the server did not end the connection."""


@contextlib.contextmanager
def connection_errors(server: str, request: str) -> Iterator[None]:
    """Everything that can happen to a connection may heal, except a certificate that is not accepted."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise SettingsError(
            f"NGAS server {server} could not prove who it is ({_cause(error)}): set the right scheme in the NGAS "
            "connection, or install the certificate of its authority."
        ) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        kind = ConnectionStalled if _is_timeout(error) else ConnectionFailed
        raise kind(f"NGAS server {server} failed at {request}: {_cause(error)}.") from None


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError))


def _cause(error: BaseException) -> str:
    """What is at the bottom of the libraries' wrappings, in a few words."""
    if _is_timeout(error):
        return "nothing came in time"
    while inner := getattr(error, "reason", None) or error.__cause__ or error.__context__:
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return quoted(text, 120)[1:-1].rstrip(".") or "the connection was cut"
