"""The statements of the archive, those of ``include/sql/archive``: executed, and repeated where they may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from srdp.domain.common.errors import IntegrityError, ServiceUnavailable, SettingsError, SrdpError
from srdp.hooks.postgres import Cursor, postgres_safe, repeated, rows, transaction
from srdp.hooks.statements import statements

_WHAT = "The archive's database"
# What EXPLAIN can be asked about, if a site's own statements are others.
_EXPLAINED = ("select", "insert", "update", "delete", "merge", "with")

_T = TypeVar("_T")


class ProjectIsBusy(SrdpError):
    """Has waited long enough: not repeated here, as a :class:`ServiceUnavailable` would be."""


class ArchiveStatements:
    """What is executed in the archive's database.

    Args:
        connection: the Airflow Connection's name.
        folder: where the statements are.
        without: the statements that are not used, as the settings say: the archive need not have their tables.
    """

    def __init__(self, connection: str, folder: Path, without: Collection[str]) -> None:
        self._connection = connection
        self._folder = folder
        self._without = without

    def rows(self, cursor: Cursor, name: str, **parameters: object) -> list[dict[str, Any]]:
        """Return what a statement returns; nothing of one that is not used.

        Args:
            cursor: of a transaction.
            name: the statement's.
            **parameters: its parameters.
        """
        if name in self._without:
            return []
        return rows(cursor, self._folder, name, postgres_safe(parameters))

    def ask(self, name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        """Return what a statement returns that may be repeated, in a transaction of its own."""

        def ask() -> list[dict[str, Any]]:
            with transaction(self._connection, what=_WHAT) as cursor:
                return rows(cursor, self._folder, name, parameters)

        return repeated(ask)

    def read(self, work: Callable[[Cursor], _T]) -> _T:
        """Return what is read in a transaction of its own, which may be repeated."""

        def once() -> _T:
            with transaction(self._connection, what=_WHAT) as cursor:
                return work(cursor)

        return repeated(once)

    def write(self, what: str, work: Callable[[Cursor], _T]) -> _T:
        """Do work that may be repeated in a transaction of its own, and repeats it; see :func:`repeated`."""

        def once() -> _T:
            try:
                with transaction(self._connection, what=_WHAT) as cursor:
                    return work(cursor)
            except (psycopg.IntegrityError, psycopg.DataError) as error:
                raise IntegrityError(
                    f"The archive's tables do not accept {what}: {str(error).strip().partition(chr(10))[0]}; nothing "
                    "was changed."
                ) from None

        try:
            return repeated(once)
        except ProjectIsBusy as busy:
            raise ServiceUnavailable(str(busy)) from None

    def check(self) -> None:
        """Asks the archive whether it could execute every statement that is used; changes nothing.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: a table or a column is missing, or this account may not use it; it names the statement.
        """
        name = "include/sql/archive"
        try:
            with transaction(self._connection, what=_WHAT) as cursor:
                for name, whole in sorted(statements(self._folder).items()):
                    text = "\n".join(line for line in whole.splitlines() if not line.lstrip().startswith("--")).strip()
                    if name not in self._without and text.lower().startswith(_EXPLAINED):
                        # EXPLAIN looks for tables, columns and rights, and executes nothing.
                        cursor.execute(f"EXPLAIN {text}", _Nulls())
        except SettingsError as problem:
            raise SettingsError(f"The statement {name}: {problem}") from None


class _Nulls(dict[str, None]):
    """A value for every parameter, whatever it is called."""

    def __missing__(self, _name: str) -> None:
        return None
