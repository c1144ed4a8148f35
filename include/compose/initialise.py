"""``python -m compose.initialise``: makes what a start of docker-compose.yaml needs, and upgrades what is there.

It may be repeated, and begun again wherever it stopped; every ``docker compose up`` runs it. Roles and databases,
Airflow's tables, the ledger's; at the first start the areas; roles of people, pools, the first accounts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from psycopg2 import sql

from srdp.check import POOLS
from srdp.domain.common.errors import SettingsError, SrdpError
from srdp.domain.runs.areas import prepare_areas
from srdp.hooks.ledger_schema import apply_schema
from srdp.settings import Settings, load_settings

#: Each database has one role, which owns it and can connect to no other; and the variable of that role's password.
DATABASES = {
    "airflow": "AIRFLOW_DATABASE_PASSWORD",
    "srdp_ledger": "SRDP_LEDGER_PASSWORD",
    "srdp_archive": "SRDP_ARCHIVE_PASSWORD",
}
#: The account with which ``srdp-health`` looks at Airflow.
HEALTH = "srdp-health"
_SLOTS = {"casa": "SRDP_CASA_SLOTS", "fetch": "SRDP_FETCH_SLOTS"}


def main() -> int:
    """Do all that is missing; return 0, or 1 after a sentence that says what cannot be done."""
    try:
        settings = load_settings()
        _make_databases()
        _print_line("Bringing Airflow's tables up to date ...")
        subprocess.run(
            [str(Path(sys.executable).with_name("airflow")), "db", "migrate"], check=True, stdout=subprocess.DEVNULL
        )
        _prepare_ledger_and_areas(settings)
        _copy_retention(settings)
        _prepare_airflow()
    except SrdpError as problem:
        _print_line(f"Not started: {problem}")
        return 1
    except subprocess.CalledProcessError:
        _print_line("Not started: Airflow's database could not be prepared, see above.")
        return 1
    _print_line("Everything is prepared.")
    return 0


def _print_line(line: str) -> None:
    print(line, flush=True)


def _connect(role: str, password: str, database: str) -> Any:  # noqa: ANN401  psycopg2 has no better name for it
    try:
        return psycopg2.connect(host="postgres", user=role, password=password, dbname=database, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise SettingsError(
            f"The database server does not let {role} in ({str(error).strip()}): a volume of PostgreSQL keeps the "
            "password of its first start, so put that one back into .env."
        ) from None


def _make_databases() -> None:
    """Make each database and its role unless they are there; a role's password becomes what .env says."""
    with closing(_connect("postgres", os.environ["POSTGRES_PASSWORD"], "postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name, variable in DATABASES.items():
                _make_database(cursor, name, os.environ[variable])
            for name in ("postgres", "template1"):
                cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def _make_database(cursor: psycopg2.extensions.cursor, name: str, password: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
    command = "CREATE ROLE {}" if cursor.fetchone() is None else "ALTER ROLE {}"
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
    cursor.execute(sql.SQL(f"{command} {rights}").format(sql.Identifier(name), sql.Literal(password)))
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def _prepare_ledger_and_areas(settings: Settings) -> None:
    """Make the ledger's tables, and before its first one the areas.

    Only then: later an area that is not there is one that is not mounted, and a new one is marked by a person.
    """
    with closing(_connect("srdp_ledger", os.environ[DATABASES["srdp_ledger"]], "srdp_ledger")) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('schema_version') IS NULL")
            is_first = cursor.fetchone()[0]
        connection.rollback()
        if is_first:
            for name, area in settings.named_areas().items():
                area.mkdir(mode=0o700 if area == settings.spool_area else 0o755, parents=True, exist_ok=True)
                _print_line(f"{name} is {area}.")
            for line in prepare_areas(settings.named_areas(), force=False):
                _print_line(line)
        for applied in apply_schema(connection, settings.sql):
            _print_line(f"Ledger: {applied}")


def _copy_retention(settings: Settings) -> None:
    """Put the project's retention file where the data analysts edit theirs, unless one is there."""
    source = settings.home / "include" / "retention.txt"
    if settings.retention != source and not settings.retention.exists():
        shutil.copyfile(source, settings.retention)


def _prepare_airflow() -> None:
    """Make the roles, the pools and the first accounts; what a person changed stays."""
    from airflow.models.pool import Pool
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    from compose.roles import roles

    for name, (what, deferred) in POOLS.items():
        if Pool.get_pool(name) is None:
            Pool.create_or_update_pool(name, int(os.environ[_SLOTS[name]]), what, include_deferred=deferred)
    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        manager.bulk_sync_roles(roles(manager.VIEWER_PERMISSIONS, _operators(manager)))
        admin = os.environ["SRDP_ADMIN_USER"]
        _make_account(manager, admin, "Admin", "SRDP_ADMIN_PASSWORD")
        _make_account(manager, HEALTH, "Viewer", "SRDP_HEALTH_PASSWORD")


def _operators(manager: Any) -> list[tuple[str, str]]:  # noqa: ANN401  FAB has no types
    return [*manager.VIEWER_PERMISSIONS, *manager.USER_PERMISSIONS, *manager.OP_PERMISSIONS]


def _make_account(manager: Any, name: str, role: str, variable: str) -> None:  # noqa: ANN401  FAB has no types
    if manager.find_user(username=name) is None:
        made = manager.add_user(name, name, role, f"{name}@localhost", manager.find_role(role), os.environ[variable])
        if not made:
            raise SettingsError(f"The account {name} could not be made, as Airflow says above.")
        _print_line(f"The account {name} was made; its password is {variable} in .env.")


if __name__ == "__main__":
    sys.exit(main())
