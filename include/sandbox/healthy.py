"""``python healthy.py SERVER``: exit status 0 if a server of the observatory answers; for Docker's health checks.

Nothing but the standard library: it runs again and again in each container.
"""

from __future__ import annotations

import http.client
import os
import smtplib
import sys

SMTP_PORT = 1025
#: Each server's port as a service, and what it is asked to see whether it is well.
ASKED = {
    "ngas": (7777, "/STATUS"),
    "locator": (8080, "/health"),
    "mail": (1080, "/messages/"),
    "run-files": (8090, "/"),
}
_SECONDS = 10.0


def main(server: str) -> int:
    """Asks a server; returns 0 if it is well, or 1 after a sentence."""
    port, path = ASKED[server]
    address = os.environ.get("SRDP_OBSERVATORY_LISTEN") or "127.0.0.1"
    connection = http.client.HTTPConnection(address, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
        if server == "mail":
            smtplib.SMTP(address, SMTP_PORT, timeout=_SECONDS).close()
    except (OSError, http.client.HTTPException, smtplib.SMTPException) as error:
        print(f"{server} does not answer: {error}")
        return 1
    finally:
        connection.close()
    if status != http.client.OK:
        print(f"{server} answers {status}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
