"""NGAS servers, with the login and the addresses of an Airflow connection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from typing import Annotated, Literal

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from srdp.domain.common.errors import InvalidInput, SettingsError, quoted
from srdp.domain.ngas.client import NgasClient, NgasLogin, ngas_server
from srdp.domain.site.allowed_hosts import AllowedHosts, host_pattern


def _server(value: str) -> str:
    try:
        return ngas_server(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None


def _host(value: str) -> str:
    try:
        return host_pattern(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None


_Server = Annotated[str, AfterValidator(_server)]
_Host = Annotated[str, AfterValidator(_host)]


class NgasExtra(BaseModel):
    """What the connection's *extra* may hold.

    Attributes:
        scheme: how servers are spoken to.
        allowed_hosts: the hosts that may have the login, beside the connection's own and those that `servers` leads to:
            names, in which a ``*`` stands for anything but a dot, and IP addresses; see
            :func:`~srdp.domain.site.allowed_hosts.host_pattern`. To any other host nothing is sent, no matter what
            names it: a locator report, the archive's database or a server's redirection. A listed name that leads to
            this machine or its link is refused too, unless that address is listed as well.
        servers: addresses to use instead of those that the archive names, both ``host:port``: for servers that are
            reached through a tunnel or another port.
        connect_seconds: how long a connection may take to be made.
        stall_seconds: how long nothing may come before a request counts as lost; the servers close after 60 s.
        health_seconds: how long a server may take to say how it is; it is asked before each try to archive something,
            so that one which has stalled is reported soon.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: Literal["http", "https"] = "http"
    allowed_hosts: tuple[_Host, ...] = ()
    servers: dict[_Server, _Server] = Field(default_factory=dict)
    connect_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    stall_seconds: Annotated[float, Field(gt=0, lt=60)] = 50.0
    health_seconds: Annotated[float, Field(gt=0, lt=60)] = 5.0


class NgasHook(BaseHook):
    """Clients of NGAS servers.

    The archive says which server has a file; the connection holds the login for all of them and, in host and port, the
    server that receives what is archived. Which hosts may have the login the connection alone says.

    Args:
        connection_id: the Airflow connection.
    """

    def __init__(self, connection_id: str) -> None:
        super().__init__()
        self.connection_id = connection_id

    def clients(self, servers: Iterable[str], *, named_by: Callable[[str], str]) -> dict[str, NgasClient]:
        """Return a client for each server, by the name that the archive calls it.

        Made in one call because a connection can be read only in the task's main thread.

        Args:
            servers: each ``host:port``.
            named_by: says of a server who names it, for the sentence of an error.

        Raises:
            SettingsError: the connection is missing or wrong, or a server's host may not have the login.
        """
        servers = list(servers)
        self.check_allowed(servers, named_by=named_by)
        return {server: self._client(server) for server in servers}

    def check_allowed(self, servers: Iterable[str], *, named_by: Callable[[str], str]) -> None:
        """Let servers pass whose hosts may have the login; nobody is asked anything.

        Args:
            servers: each ``host:port``.
            named_by: says of a server who names it, for the sentence of an error.

        Raises:
            SettingsError: the connection is missing or wrong, or a server's host may not have the login.
        """
        for server in servers:
            self._allowed.check_server(self._extra.servers.get(server, server), named_by(server))

    def receiving_client(self, *, at_most_seconds: float | None = None) -> NgasClient:
        """Return a client of the server that receives what is archived.

        Args:
            at_most_seconds: for how long it waits for anything, if that is less than the connection says.

        Raises:
            SettingsError: the connection is missing or wrong, or names no server.
        """
        return self._client(self.receiving_server(), at_most_seconds=at_most_seconds)

    def receiving_server(self) -> str:
        """Return the server that receives what is archived, ``host:port`` as the archive calls it.

        Raises:
            SettingsError: the connection is missing or wrong, or names no server.
        """
        connection = self._connection
        try:
            return ngas_server(f"{connection.host}:{connection.port}")
        except InvalidInput:
            raise SettingsError(
                f"The Airflow connection {self.connection_id} names no NGAS server: set its host and port."
            ) from None

    def test_connection(self) -> tuple[bool, str]:
        """Asks the receiving server for its status."""
        try:
            client = self.receiving_client()
            client.health()
        except Exception as error:  # noqa: BLE001  Airflow shows the text to the person who pressed the button
            return False, str(error)
        return True, f"NGAS server {client.server} is online."

    def _client(self, server: str, *, at_most_seconds: float | None = None) -> NgasClient:
        connection, extra = self._connection, self._extra
        longest = at_most_seconds or math.inf
        return NgasClient(
            extra.servers.get(server, server),
            scheme=extra.scheme,
            hosts=self._allowed,
            login=NgasLogin(connection.login, connection.password or "") if connection.login else None,
            connect_seconds=min(extra.connect_seconds, longest),
            stall_seconds=min(extra.stall_seconds, longest),
            health_seconds=min(extra.health_seconds, longest),
        )

    @cached_property
    def _allowed(self) -> AllowedHosts:
        hosts = [*self._extra.allowed_hosts, *(server.rpartition(":")[0] for server in self._extra.servers.values())]
        with suppress(InvalidInput):  # a connection without a host is right where nothing is archived
            hosts.append(host_pattern(ngas_server(f"{self._connection.host}:1").removesuffix(":1")))
        return AllowedHosts(
            hosts,
            setting=f"allowed_hosts in the extra of the Airflow connection {self.connection_id}",
        )

    @cached_property
    def _connection(self):  # type: ignore[no-untyped-def]  # noqa: ANN202  core's and the Task SDK's differ
        try:
            return self.get_connection(self.connection_id)
        except AirflowNotFoundException:
            raise SettingsError(
                f"The Airflow connection {self.connection_id} is missing: make it, with the login for NGAS."
            ) from None

    @cached_property
    def _extra(self) -> NgasExtra:
        try:
            return NgasExtra.model_validate(self._connection.extra_dejson)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise SettingsError(
                f"The extra of the Airflow connection {self.connection_id} is wrong at {quoted(place)}: "
                f"{problem['msg'].removeprefix('Value error, ')}."
            ) from None
