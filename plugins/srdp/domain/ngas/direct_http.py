"""HTTP to the host that is named and to no other: no proxy, no ``.netrc``, no redirection by itself.

Proxies and logins of the account's environment are for people. A service's login that a proxy passes on in clear, or
another login that ``.netrc`` adds, is a login that somebody has who was not meant.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from srdp.domain.site.allowed_hosts import AllowedHosts


def go_direct(session: requests.Session) -> requests.Session:
    """Have a session heed neither proxies nor logins of the environment; its certificates it does.

    Args:
        session: returned, changed.
    """
    session.trust_env = False
    if session.verify is True:
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    return session


def direct_session(hosts: AllowedHosts | None = None) -> requests.Session:
    """Return a session of that kind.

    Args:
        hosts: what the names that are asked may lead to. None lets them lead anywhere.
    """
    session = go_direct(requests.Session())
    if hosts is not None:
        adapter = _CheckingAdapter(hosts)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
    return session


class _CheckingAdapter(HTTPAdapter):
    """Makes connections that look where they lead."""

    def __init__(self, hosts: AllowedHosts) -> None:
        self._hosts = hosts
        super().__init__()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,  # noqa: FBT001  the library's own signature
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> HTTPConnectionPool:
        pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(request, verify, proxies, cert))
        pool.ConnectionCls = _CheckedSecureConnection if pool.scheme == "https" else _CheckedConnection
        pool.conn_kw["hosts"] = self._hosts
        return pool


class _CheckedConnection(HTTPConnection):
    """A connection that is given up before a byte is sent if it leads where none may.

    What a name resolves to is looked at before, so that nothing is connected to in vain. What counts is the address at
    the other end of the connection that was made: a name server may give another answer to each question.
    """

    def __init__(self, *arguments: Any, hosts: AllowedHosts, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self._hosts = hosts

    def _new_conn(self) -> socket.socket:
        with suppress(socket.gaierror, UnicodeError):  # the library reports it
            for *_, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
                self._hosts.check_address(self.host, str(address[0]))
        connected = super()._new_conn()
        try:
            self._hosts.check_address(self.host, connected.getpeername()[0])
        except BaseException:
            connected.close()
            raise
        return connected


class _CheckedSecureConnection(_CheckedConnection, HTTPSConnection):
    """The same with TLS."""
