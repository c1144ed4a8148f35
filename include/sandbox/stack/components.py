"""The servers of an instance: what runs, in which order, and how each is started."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from sandbox.privileges import setpriv

#: Airflow's own processes, in the order in which they are started.
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
#: The embedded observatory, without its databases.
OBSERVATORY = ("ngas", "locator", "run_files", "mail")
DATABASES = "postgres"
#: Removes each day what Airflow has kept for long enough.
TIDY = "tidy"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One server that the supervisor starts and restarts.

    Attributes:
        name: what people, logs and tests call it.
        command: its argument vector.
        variables: what its environment has beside the instance's.
        stop_signal: the signal that ends it in order.
        stop_seconds: how long it may take to end before it is killed.
    """

    name: str
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds: int = 20

    @property
    def command_line(self) -> str:
        """The command as the supervisor's configuration writes it."""
        assignments = [f"{name}={value}" for name, value in self.variables.items()]
        # Should the supervisor itself be killed, the kernel ends its servers.
        last_will = setpriv("--pdeathsig", self.stop_signal)
        prefix = ["/usr/bin/env", *assignments] if assignments else []
        return _unexpanded(shlex.join((*last_will, *prefix, *self.command)))


def airflow_components(port: int) -> list[Component]:
    """Return Airflow's processes.

    The scheduler's and the triggerer's log servers stay off: they listen on every address, and no setting changes
    that, and on one machine the API server reads the same log files itself.

    Args:
        port: the API server's loopback port.
    """
    airflow = str(Path(sys.executable).with_name("airflow"))
    arguments = {
        "api-server": ("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        "scheduler": ("--skip-serve-logs",),
        "dag-processor": (),
        "triggerer": ("--skip-serve-logs",),
    }
    start = (sys.executable, "-I", str(Path(__file__).with_name("start.py")))
    return [Component(name=name, command=(*start, airflow, name, *arguments[name])) for name in AIRFLOW]


def tidy_component(home: Path) -> Component:
    """Return what removes old DAG runs and log files each day.

    Args:
        home: the project's folder.
    """
    command = (sys.executable, "-m", "srdp.tidy", "--daily")
    return Component(name=TIDY, command=command, variables={"PYTHONPATH": str(home / "plugins")}, stop_seconds=5)


def sandbox_component(module: str, home: Path, *arguments: object, name: str = "") -> Component:
    """Return one of the observatory's own servers, ``python -m sandbox.<module>``.

    Args:
        module: the module's name.
        home: the project's folder.
        arguments: what follows on its command line.
        name: the component's name, if it is not the module's.
    """
    return Component(
        name=name or module,
        command=(sys.executable, "-m", f"sandbox.{module}", *map(str, arguments)),
        # Only these processes see include/: production code could not import the sandbox if it tried.
        variables={"PYTHONPATH": f"{home / 'include'}:{home / 'plugins'}"},
        stop_seconds=5,
    )


def supervisor_configuration(
    components: list[Component], *, folder: Path, logs: Path, port: int, password: str, as_root: bool
) -> str:
    """Return the supervisor's configuration file.

    Args:
        components: the servers, in starting order.
        folder: the supervisor's own folder.
        logs: where each server's output goes, as ``<name>.log``.
        port: the supervisor's own loopback port.
        password: what it asks its callers for.
        as_root: whether it runs as root, which needs an option of its own.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701
    template = environment.from_string(
        Path(__file__).with_name("supervisord.conf.j2").read_text(encoding="utf-8"),
    )
    return template.render(
        components=components,
        folder=_unexpanded(str(folder)),
        logs=_unexpanded(str(logs)),
        port=port,
        password=_unexpanded(password),
        as_root=as_root,
    )


def _unexpanded(text: str) -> str:
    """Text in which the supervisor expands nothing."""
    return text.replace("%", "%%")
