"""``python -m sandbox.compose SERVICE``: the embedded observatory as services of docker-compose.yaml.

Each service of the profile ``observatory`` is one of these. Servers listen at every address of their container and are
asked for by the service's name; what is published on the host stays on its loopback, whose names they answer for too.

    ngas, locator, mail, run-files   a server each
    observe                          one observation at the first start, and none at later ones; with --count N,
                                     N further ones whenever it is called; --damaged, --mous: another kind
    healthy SERVER                   exit status 0 if a server answers
    casa FROM TO                     puts CASA of this image into the volume that workers mount, if that has another one

Environment: ``AIRFLOW_CONN_SRDP_ARCHIVE`` and ``AIRFLOW_CONN_SRDP_NGAS`` as Airflow has them, the areas,
``SRDP_OBSERVATORY_FOLDER``, and ``SRDP_OBSERVATORY_LISTEN`` for another address.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox import healthy
from srdp.domain.common.errors import ServiceUnavailable, SettingsError, SrdpError

# Nothing else at the top: the health checks of four containers start this every half minute.
_ARCHIVE_VARIABLE = "AIRFLOW_CONN_SRDP_ARCHIVE"
_NGAS_VARIABLE = "AIRFLOW_CONN_SRDP_NGAS"
_AREAS = ("PROCESSING", "QA", "ALMA_PROCESSING", "ALMA_QA")
# What an installed CASA says of itself: the checksum of the list that it was installed from.
_STAMP = ".installed"


def main(arguments: list[str] | None = None) -> int:
    """Run one service; return its exit code, or becomes the server."""
    options = _arguments(arguments)
    try:
        act: Callable[[argparse.Namespace], None] = options.act
        act(options)
    except SrdpError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.compose", description="The observatory's services.")
    services = parser.add_subparsers(dest="service", required=True)
    for name in healthy.ASKED:
        services.add_parser(name).set_defaults(act=_become_server)
    check = services.add_parser("healthy")
    check.add_argument("server", choices=[*healthy.ASKED])
    check.set_defaults(act=_check)
    observing = services.add_parser("observe")
    observing.add_argument("--count", type=int, default=0, choices=range(101), metavar="0..100")
    observing.add_argument("--damaged", action="store_true")
    observing.add_argument("--mous", action="store_true")
    observing.set_defaults(act=_observe)
    casa = services.add_parser("casa")
    casa.add_argument("source", type=Path)
    casa.add_argument("target", type=Path)
    casa.set_defaults(act=_install_casa)
    return parser.parse_args(arguments)


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set: docker-compose.yaml gives it to each service of the observatory.")
    return value


def _folder(name: str) -> Path:
    folder = Path(_setting("SRDP_OBSERVATORY_FOLDER")) / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _archive() -> str:
    from sandbox.archive import database_url

    _setting(_ARCHIVE_VARIABLE)
    return database_url() or ""


def _listen() -> str:
    return os.environ.get("SRDP_OBSERVATORY_LISTEN") or "0.0.0.0"  # noqa: S104  of its container


# Servers


def _become_server(options: argparse.Namespace) -> None:
    service: str = options.service
    listening = ("--listen", _listen(), "--name", service)
    module, *rest = _SERVERS[service](str(healthy.ASKED[service][0]))
    os.execv(sys.executable, [sys.executable, "-m", module, *listening, *rest])  # noqa: S606  that is its purpose


def _ngas(port: str) -> tuple[str, ...]:
    folder = _folder("ngas")
    return ("sandbox.ngas", "--port", port, "--root", str(folder), "--faults", str(folder / "faults.json"))


def _locator(port: str) -> tuple[str, ...]:
    import psycopg

    from sandbox.archive import apply_schema
    from sandbox.observe import server_address

    try:
        apply_schema(_archive())
    except psycopg.OperationalError as error:
        raise ServiceUnavailable(f"The archive's database cannot serve now: {error}") from None
    return ("sandbox.locator", "--port", port, "--ngas", server_address(_setting(_NGAS_VARIABLE)))


def _mail(port: str) -> tuple[str, ...]:
    database = _folder("mail") / "mail.sqlite"
    ports = ("--smtp-port", str(healthy.SMTP_PORT), "--http-port", port)
    return ("sandbox.mail_box", *ports, "--foreground", "--no-quit", "--db", str(database))


def _run_files(port: str) -> tuple[str, ...]:
    areas = [area for name in _AREAS if (area := os.environ.get(f"SRDP_{name}_AREA"))]
    return ("sandbox.run_files", "--port", port, *(part for area in areas for part in ("--area", area)))


_SERVERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "ngas": _ngas,
    "locator": _locator,
    "mail": _mail,
    "run-files": _run_files,
}


def _check(options: argparse.Namespace) -> None:
    if problem := healthy.problem(options.server):
        raise ServiceUnavailable(problem)


# What is done once


def _observe(options: argparse.Namespace) -> None:
    from sandbox.archive import execute, transaction

    archive, ngas = _archive(), _setting(_NGAS_VARIABLE)
    count: int = options.count
    if not count:
        with transaction(archive) as cursor:
            (found,) = execute(cursor, "is_empty")
        if not found["is_empty"]:
            _print_line("The archive has observations; with --count N, further ones are made.")
            return
        count = 1
    for observed in _observed(options, archive, ngas, count):
        _print_line(f"Observed {observed}.")


def _observed(options: argparse.Namespace, archive: str, ngas: str, count: int) -> Iterator[str]:
    from sandbox.alma_observation.observe import observe_mous
    from sandbox.making import DAMAGED, MOUS, UNDAMAGED, make
    from sandbox.observe import observe
    from srdp.engines.spooled import inherited_environment

    folder, environment = _folder("observations"), inherited_environment()
    if options.mous:
        made = make(MOUS, folder, environment=environment, report=_print_line)
        for mous in observe_mous(archive=archive, ngas=ngas, made=made, count=count):
            yield mous.uid
        return
    sdm = make(DAMAGED if options.damaged else UNDAMAGED, folder, environment=environment, report=_print_line)
    for block in observe(archive=archive, ngas=ngas, sdm=sdm, count=count):
        yield block.name


def _install_casa(options: argparse.Namespace) -> None:
    source: Path = options.source
    target: Path = options.target
    if not (source / _STAMP).is_file():
        raise SettingsError(f"{source} holds no CASA that was installed completely: build the image again.")
    wanted = (source / _STAMP).read_bytes()
    stamp = target / _STAMP
    if stamp.is_file() and stamp.read_bytes() == wanted:
        _print_line("CASA is there.")
        return
    _print_line("Copying CASA into its volume ...")
    stamp.unlink(missing_ok=True)
    for entry in target.iterdir():  # the volume itself stays
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    # The stamp comes last: a copy that was stopped is begun again.
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_STAMP))
    stamp.write_bytes(wanted)


def _print_line(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
