"""Whom a server on loopback answers: only who asks for this machine.

A page of anybody's can have a browser ask a name of its own that leads to 127.0.0.1 (DNS rebinding), and would read the
answer as its own. Such a request names the other host in its header ``Host``.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

#: The names of this machine under which Airflow's pages may be asked for.
OWN_NAMES = ("127.0.0.1", "localhost")
#: The HTTP status of a request for another host, "Misdirected Request".
MISDIRECTED = 421
_SHOWN = 100


def refusal(host: str | None) -> str:
    """Returns the sentence for a request that asks for another host; nothing if it asks for this one.

    Args:
        host: the header ``Host``; None if there is none, which no browser does.
    """
    if host is None or _is_own(host):
        return ""
    return f"This server answers for 127.0.0.1 and localhost only, and was asked for {host[:_SHOWN]!a}."


def _is_own(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
