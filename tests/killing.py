"""Runs a function in a process of its own and kills it with SIGKILL at a point inside.

:func:`killed_at_each_file_operation` finds its points by itself. Points with a name are armed in the process that is to
die, by one of :func:`entering`, :func:`leaving`, :func:`at_file_operation`, :func:`after_statement` and
:func:`at_commit`, and :func:`in_a_process` says whether it died there.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

from tests.replacing import imported_as

from srdp.hooks.statements import statement

#: Makes the process in which it is called die at a point that it comes to later.
Arm = Callable[[], None]

_SQL = Path(__file__).parents[1] / "include" / "sql"
_FILE_OPERATIONS = {
    "open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.utime",
    "os.truncate", "os.listdir", "os.scandir", "shutil.copyfile", "shutil.rmtree",
}  # fmt: skip


# Points with a name


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        killed: whether it died by SIGKILL.
        error: what it failed with, with its frames; empty if it did not.
        said: the lines that it gave to ``say``.
    """

    killed: bool
    error: str
    said: list[str]


class Running:
    """A function that runs in a process of its own.

    Args:
        act: the function; what it says by the function that it is given is known although it dies.
    """

    _alive: ClassVar[list[Running]] = []

    def __init__(self, act: Callable[[Callable[[str], None]], object]) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _act_and_exit(act, writing)
        os.close(writing)
        self._reported = os.fdopen(reading, "r", encoding="utf-8")
        self._alive.append(self)

    @classmethod
    def end_all(cls) -> None:
        """Kills those whose end nobody waited for: a test that fails in the middle leaves some, even stopped ones."""
        for process in [*cls._alive]:
            os.kill(process.pid, signal.SIGKILL)
            process.end()

    def wait_until_stopped(self) -> None:
        """Return when it has stopped itself, by :func:`stop`."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._alive.remove(self)
            raise AssertionError(f"it never came to the point to stop at, but ended: {self._reported.read()}")

    def go_on(self) -> None:
        """Lets it continue after it has stopped itself."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> Ended:
        """Wait for its end."""
        self._alive.remove(self)
        with self._reported as reported:
            lines = reported.read().splitlines()
        _, status = os.waitpid(self.pid, 0)
        killed = os.WIFSIGNALED(status)
        if killed:
            assert os.WTERMSIG(status) == signal.SIGKILL
        error = [line.removeprefix("error ") for line in lines if line.startswith("error ")]
        said = [line.removeprefix("said ") for line in lines if line.startswith("said ")]
        assert killed or (os.WEXITSTATUS(status) == 0) == (not error)
        return Ended(killed, "\n".join(error), said)


def _act_and_exit(act: Callable[[Callable[[str], None]], object], reported: int) -> None:
    try:
        act(lambda line: _tell(reported, "said", line))
    except BaseException:  # noqa: BLE001  the child must end here, whatever happened
        _tell(reported, "error", traceback.format_exc())
        os._exit(1)
    os._exit(0)


def _tell(reported: int, kind: str, text: str) -> None:
    os.write(reported, "".join(f"{kind} {line}\n" for line in text.splitlines()).encode())


def die() -> None:
    """Kills this process, as it stands."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Stop this process until somebody lets it continue."""
    os.kill(os.getpid(), signal.SIGSTOP)


def entering(name: str, *, nth: int = 1, then: Callable[[], None] = die) -> Arm:
    """Dies before a function does anything.

    Args:
        name: module and function, ``package.module:Class.function``.
        nth: in which of its calls.
        then: what is done there, if it is not to die.
    """
    return lambda: _wrap(name, nth, then, before=True)


def leaving(name: str, *, nth: int = 1, then: Callable[[], None] = die) -> Arm:
    """Dies when a function has done its work, and nobody knows it yet.

    Args:
        name: see :func:`entering`.
        nth: in which of its calls.
        then: what is done there, if it is not to die.
    """
    return lambda: _wrap(name, nth, then, before=False)


def _wrap(name: str, nth: int, then: Callable[[], None], *, before: bool) -> None:
    module, _, path = name.partition(":")
    *owners, last = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    found = inspect.getattr_static(owner, last)
    function = found.__func__ if isinstance(found, staticmethod) else found
    calls = 0

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls == nth
        if mine and before:
            then()
        result = function(*arguments, **options)
        if mine and not before:
            then()
        return result

    for holder, known_as in [(owner, last)] if owners else imported_as(function):
        setattr(holder, known_as, staticmethod(wrapped) if isinstance(found, staticmethod) else wrapped)


def at_file_operation(event: str, *patterns: str, nth: int = 1, then: Callable[[], None] = die) -> Arm:
    """Dies before a file operation.

    Args:
        event: its audit event, for example ``os.rename``.
        patterns: shell patterns of its first arguments.
        nth: at which of the operations that match.
        then: what is done there, if it is not to die.
    """

    def arm() -> None:
        count = 0

        def watch(happens: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if happens == event and all(
                fnmatchcase(os.fspath(given), wanted)  # type: ignore[arg-type]
                for given, wanted in zip(arguments, patterns, strict=False)
            ):
                count += 1
                if count == nth:
                    then()

        sys.addaudithook(watch)

    return arm


def after_statement(name: str, *, nth: int = 1, then: Callable[[], None] = die) -> Arm:
    """Dies when the database has executed a statement, and its transaction is open.

    Args:
        name: its file below ``include/sql``, without ``.sql``.
        nth: at which of its executions.
        then: what is done there, if it is not to die.
    """

    def arm() -> None:
        count = 0

        def executed(_connection: object, statement: object) -> None:
            nonlocal count
            if statement == text:
                count += 1
                if count == nth:
                    then()

        text = _statement(name)
        _watch_statements(executed)

    return arm


def at_commit(name: str, moment: str, *, nth: int = 1) -> Arm:
    """Dies at the end of the transaction in which a statement was executed.

    Args:
        name: see :func:`after_statement`.
        moment: ``before`` the COMMIT; ``sent``: the server has it, and its answer is not read; ``after`` the answer.
        nth: at which of its executions.
    """
    assert moment in {"before", "sent", "after"}

    def arm() -> None:
        import psycopg

        text, seen = _statement(name), []
        commit = psycopg.Connection.commit

        def committing(connection: psycopg.Connection[Any]) -> None:
            if len(seen) < nth or seen[nth - 1] is not connection:
                commit(connection)
                return
            if moment == "sent":
                connection.pgconn.send_query(b"COMMIT")
                while connection.pgconn.flush():
                    pass
            if moment == "after":
                commit(connection)
            die()

        _watch_statements(lambda connection, statement: seen.append(connection) if statement == text else None)
        psycopg.Connection.commit = committing  # type: ignore[method-assign]

    return arm


def _statement(name: str) -> str:
    folder, _, statement_name = name.partition("/")
    return statement(_SQL / folder, statement_name)


def _watch_statements(watch: Callable[[object, object], None]) -> None:
    import psycopg

    execute = psycopg.Cursor.execute

    def executing(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        result = execute(cursor, query, *arguments, **options)
        watch(cursor.connection, query)
        return result

    psycopg.Cursor.execute = executing  # type: ignore[method-assign]


# Every file operation


def killed_at_each_file_operation(prepare: Callable[[], None], act: Callable[[], object]) -> Iterator[int]:
    """Prepare, acts and is killed: at the first file operation, then at the second, until nothing is left to kill.

    Yields the number of the operation after each kill, so that the caller can look at what is left, repeat the act
    and compare. The last, unkilled round is not yielded.
    """
    number = 0
    while True:
        number += 1
        prepare()
        if not _killed(act, number):
            return
        yield number


def _killed(act: Callable[[], object], number: int) -> bool:
    child = os.fork()
    if child == 0:
        count = 0

        def kill_at_the_operation(event: str, _arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in _FILE_OPERATIONS:
                count += 1
                if count == number:
                    die()

        try:
            sys.addaudithook(kill_at_the_operation)
            act()
        except BaseException:  # noqa: BLE001  the child must end here, whatever happened
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the act failed by itself when it was to be killed at operation {number}"
    return False
