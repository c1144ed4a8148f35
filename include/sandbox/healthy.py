"""Whether a server of the observatory answers, for Docker's health checks: nothing but the standard library."""

from __future__ import annotations

import http.client
import os
import smtplib

SMTP_PORT = 1025
#: Each server's port as a service, and what it is asked to see whether it is well.
ASKED = {
    "ngas": (7777, "/STATUS"),
    "locator": (8080, "/health"),
    "mail": (1080, "/messages/"),
    "run-files": (8090, "/"),
}
_SECONDS = 10.0


def problem(server: str) -> str:
    """Asks a server of this container; returns what is wrong as a sentence, or nothing.

    Args:
        server: one of :data:`ASKED`.
    """
    port, path = ASKED[server]
    address = os.environ.get("SRDP_OBSERVATORY_LISTEN") or "127.0.0.1"
    connection = http.client.HTTPConnection(address, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
        if server == "mail":
            smtplib.SMTP(address, SMTP_PORT, timeout=_SECONDS).close()
    except (OSError, http.client.HTTPException, smtplib.SMTPException) as error:
        return f"{server} does not answer: {error}"
    finally:
        connection.close()
    return "" if status == http.client.OK else f"{server} answers {status}."
