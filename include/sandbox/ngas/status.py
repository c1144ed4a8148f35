"""What NGAS says: its numbered messages, and the NgamsStatus document that carries them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import quoteattr

VERSION = "v12.0/SANDBOX"

_CHECKED = "Checked file with File ID: %s/File Version: %s/Disk ID: %s/Slot ID: %s/Host ID: %s - "
# Identifier, number, kind and text as in the server's own catalogue of messages: clients read the number.
_MESSAGES = {
    2002: ("NGAMS_ER_DB_COM", "ERROR", "Problems communicating with the DB: %s"),
    3014: ("NGAMS_AL_NO_STO_SETS", "ALERT", "No Storage Sets found for mime-type: %s"),
    4012: (
        "NGAMS_ER_ARCHIVE_PULL_REQ",
        "ERROR",
        "Problems occurred handling Archive Pull Request! URI: %s. Error: %s",
    ),
    4013: ("NGAMS_ER_MISSING_URI", "ERROR", "Must specify a URI for the data file to archive!"),
    4015: (
        "NGAMS_ER_IMPROPER_STATE",
        "ERROR",
        "%s not allowed when in State/Sub-State: %s/%s. Allowed State(s)/Sub-State(s) are: %s/%s.",
    ),
    4018: ("NGAMS_ER_RETRIEVE_CMD", "ERROR", "Incorrect parameter given for RETRIEVE command."),
    4019: ("NGAMS_ER_UNAVAIL_FILE", "ERROR", "File with ID: %s appears not to be available."),
    4047: (
        "NGAMS_ER_UNKNOWN_MIME_TYPE2",
        "ERROR",
        "Illegal mime-type: %s issued in Archive Request for file with URI: %s. Rejecting request.",
    ),
    4056: (
        "NGAMS_INFO_FILE_OK",
        "INFO",
        f"{_CHECKED}file found to be consistent.",
    ),
    4057: (
        "NGAMS_ER_FILE_NOK",
        "ERROR",
        f"{_CHECKED}file found to be inconsistent%s",
    ),
    4070: (
        "NGAMS_ER_ARCH_RECV",
        "ERROR",
        "Error occurred while receiving data for file with URI: %s. Expected size: %s bytes. Actual size: %s bytes.",
    ),
    4100: ("NGAMS_ER_UNAUTH_REQ", "ERROR", "Unauthorized request received."),
}


class NgasFailure(Exception):
    """A request fails, and the reply says so.

    Attributes:
        message: what stands in the reply's ``Message``.
        http_status: 400 for everything but the few that have a status of their own.
    """

    def __init__(self, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.http_status = http_status


def message(number: int, *values: object) -> str:
    """Return a numbered message as the server writes it, for example ``NGAMS_ER_UNAVAIL_FILE:4019:ERROR: File ...``.

    Args:
        number: the message's number, 4019 for instance.
        values: what its text is filled with.
    """
    identifier, kind, text = _MESSAGES[number]
    return f"{identifier}:{number}:{kind}: {text % values}"


def failure(number: int, *values: object) -> NgasFailure:
    """Return the failure that answers 400 with a numbered message."""
    return NgasFailure(message(number, *values))


def timestamp(moment: datetime | None = None) -> str:
    """Return a time in UTC as NGAS writes it: milliseconds and no zone."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def element(name: str, attributes: dict[str, object], content: Sequence[str] = ()) -> str:
    """Return one XML element with its attributes escaped.

    Args:
        name: the element's name.
        attributes: in the order in which they are written.
        content: elements inside it, ready made.
    """
    # What XML cannot hold at all (control characters in a hostile file name) becomes a question mark.
    written = "".join(f" {key}={quoteattr(_printable(str(value)))}" for key, value in attributes.items())
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def _printable(text: str) -> str:
    return "".join(character if character >= " " and character.isprintable() else "?" for character in text)


def document(host: str, port: int, elements: Sequence[str]) -> bytes:
    """Return a whole NgamsStatus document.

    It names an external DTD on the server itself, which the server no longer serves: a parser must not load it.

    Args:
        host: the server's name as it stands in the address of the DTD.
        port: its port.
        elements: ``Status`` and, where a file is concerned, ``DiskStatus``.
    """
    dtd = f"http://{host}:{port}/RETRIEVE?internal=ngamsStatus.dtd"
    head = f'<?xml version="1.0" ?>\n<!DOCTYPE NgamsStatus SYSTEM "{dtd}">\n'
    return "\n".join([f"{head}<NgamsStatus>", *elements, "</NgamsStatus>\n"]).encode()
