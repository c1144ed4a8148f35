"""The ports of an instance: defaults that people remember, settable one by one, checked before anything starts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

from sandbox.ports import LOOPBACK, free_ports, is_taken
from sandbox.private_files import write_private
from srdp.domain.common.errors import SettingsError, quoted

PREFIX = "SRDP_PORT_"
_RECORD = "ports.json"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One loopback port for each server; ``SRDP_PORT_<NAME>`` sets another.

    Attributes:
        airflow: Airflow's pages and API.
        run_files: run directories and weblogs in a browser.
        mail: the mail box in a browser.
        smtp: the mail server.
        locator: the archive's locator service.
        ngas: the NGAS-compatible server.
        postgres: the three databases.
        supervisor: what starts and restarts the others.
        postgres_supervisor: what starts and restarts PostgreSQL, as its account.
    """

    airflow: int = 8080
    run_files: int = 8090
    mail: int = 8091
    smtp: int = 8025
    locator: int = 8092
    ngas: int = 7777
    postgres: int = 8093
    supervisor: int = 8094
    postgres_supervisor: int = 8095

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Ports:
        """Return the defaults, with what the environment says instead.

        Args:
            environment: variables such as ``SRDP_PORT_AIRFLOW``.

        Raises:
            SettingsError: a variable holds no port, or two name the same.
        """
        chosen = {}
        for field in fields(cls):
            text = environment.get(PREFIX + field.name.upper(), "").strip()
            if not text:
                continue
            if not (re.fullmatch(r"[0-9]{4,5}", text) and 1024 <= int(text) <= 65535):
                raise SettingsError(
                    f"{PREFIX}{field.name.upper()} is {quoted(text)}: set it to a port between 1024 and 65535."
                )
            chosen[field.name] = int(text)
        ports = cls(**chosen)
        ports._refuse_doubles()
        return ports

    @classmethod
    def free(cls) -> Ports:
        """Return ports that nothing listens on now, for tests."""
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))

    @classmethod
    def recorded(cls, folder: Path) -> Ports | None:
        """Return the ports that the instance in this folder was last started with, or nothing if it never was.

        Args:
            folder: the instance's folder.
        """
        try:
            return cls(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def record(self, folder: Path) -> None:
        """Note the ports in an instance's folder, so that later commands find its servers.

        Args:
            folder: the instance's folder.
        """
        write_private(folder / _RECORD, json.dumps(self.as_dict()))

    def as_dict(self) -> dict[str, int]:
        """Return the ports by name."""
        return asdict(self)

    def check_free(self) -> None:
        """Do nothing if a server can listen on every port now.

        Raises:
            SettingsError: names every port that is taken, who has it as far as that can be seen, and what to set.
        """
        taken = {name: port for name, port in self.as_dict().items() if is_taken(port)}
        if not taken:
            return
        owners = _listeners()
        taken_ports = "; ".join(
            f"{port} ({owners.get(port, 'by a process of somebody else')}; needed for {name}, "
            f"set {PREFIX}{name.upper()} to another)"
            for name, port in taken.items()
        )
        raise SettingsError(f"Nothing was started, because these ports of {LOOPBACK} are taken: {taken_ports}.")

    def _refuse_doubles(self) -> None:
        by_port: dict[int, str] = {}
        for name, port in self.as_dict().items():
            if port in by_port:
                raise SettingsError(
                    f"Port {port} is given to {by_port[port]} and to {name}: set {PREFIX}{name.upper()} to another."
                )
            by_port[port] = name


def _listeners() -> dict[int, str]:
    """Who listens on which port, as far as this account may see."""
    seen = {}
    for process in psutil.process_iter(["name"]):
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        for connection in connections:
            if connection.status == psutil.CONN_LISTEN:
                seen[connection.laddr.port] = f"by {process.info['name']}, process {process.pid}"
    return seen
