"""The hosts that may have a login: which names, and which addresses a name may lead to.

Who has a login has whatever it opens. So a host is not sent it because a report, a database or a redirection names it,
but because somebody who may decide it has listed it. And a listed name is not enough where name servers answer what
others want: what it resolves to may not be this machine or its link, unless that address is listed as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from srdp.domain.common.errors import InvalidInput, SettingsError, quoted

_LABEL = r"[a-z0-9*](?:[a-z0-9*_-]{0,61}[a-z0-9*])?"
_LAST_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_PATTERN = re.compile(rf"(?P<host>(?:{_LABEL}\.){{0,30}}{_LAST_LABEL})(?::(?P<port>\d{{1,5}}))?", re.ASCII)
_LOCAL = "localhost"


def host_pattern(value: object) -> str:
    """Return a pattern of hosts, in lower case.

    It is a host's name, in which a ``*`` stands for letters, digits and hyphens and never for a dot, or an IP address.
    With ``:port`` behind it, other ports of the host are not meant.

    Args:
        value: for example ``ngas*.aoc.nrao.edu``, ``*.example.org:7777`` or ``127.0.0.1``.

    Raises:
        InvalidInput: it does not have that form, or has a ``*`` in its last part.
    """
    text = value.lower() if isinstance(value, str) else ""
    match = _PATTERN.fullmatch(text)
    if (match and 0 < int(match["port"] or 1) < 2**16) or _address(text):
        return text
    raise InvalidInput(
        f"{quoted(value)} is not a host: it has the form ngas*.example.org or 192.0.2.1, with :7777 behind it if only "
        "that port is meant, and no * in its last part"
    )


class AllowedHosts:
    """The hosts that may have a login.

    Args:
        patterns: the hosts; see :func:`host_pattern`.
        setting: where they are listed, for the sentence of an error.
    """

    def __init__(self, patterns: Iterable[str], *, setting: str = "allowed_hosts of the NGAS connection") -> None:
        listed = [_split(host_pattern(pattern)) for pattern in patterns]
        self._setting = setting
        self._addresses = {(address, port) for host, port in listed if (address := _address(host))}
        self._names = [(_expression(host), port) for host, port in listed if not _address(host)]

    def check_server(self, server: str, named_by: str) -> None:
        """Check that a server's host is listed.

        Args:
            server: ``host:port``.
            named_by: who names it, for the sentence, for example ``the locator report of …``.

        Raises:
            SettingsError: its host is not listed.
        """
        host, port = _split(server.lower())
        listed = (
            [listed for address, listed in self._addresses if address == _address(host)]
            if _address(host)
            else [listed for name, listed in self._names if name.fullmatch(host)]
        )
        if None not in listed and port not in listed:
            raise SettingsError(
                f"NGAS server {quoted(server, 300)[1:-1]}, which {named_by} names, may not have the NGAS login, and "
                f"nothing was sent to it: if it is yours, list its host in {self._setting}; if not, find out who named "
                "it."
            )

    def check_address(self, host: str, address: str) -> None:
        """Let an address pass that a connection to a listed host leads to.

        Args:
            host: the host's name.
            address: what it resolved to.

        Raises:
            SettingsError: it is an address of this machine, of its link, of a group or of nobody, and is not listed.
        """
        found = ip_address(address)
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or IPv6Address(int(found))  # without its zone
        if not (found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast):
            return
        local = found.is_loopback and any(name.fullmatch(_LOCAL) for name, _ in self._names)
        if not local and found not in {listed for listed, _ in self._addresses}:
            raise SettingsError(
                f"The name of NGAS server {quoted(host, 300)[1:-1]} leads to {found}, an address of this machine or of "
                f"its link, and nothing was sent to it: if that is meant, list {found} in {self._setting} as well."
            )


def _split(server: str) -> tuple[str, int | None]:
    """Return host and port; an IPv6 address has no port."""
    host, _, port = server.rpartition(":")
    return (host, int(port)) if port.isdecimal() and ":" not in host and host else (server, None)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _expression(host: str) -> re.Pattern[str]:
    return re.compile("[a-z0-9_-]*".join(re.escape(part) for part in host.split("*")), re.ASCII)
