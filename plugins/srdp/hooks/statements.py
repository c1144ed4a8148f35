"""SQL statements by name, from the files of a folder in ``include/sql``.

A file holds the statements about one table or concern, each below a line ``-- name: <name>``. A name is there once in
its folder. What is above a file's first name says what the file is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import SettingsError
from srdp.domain.files.storage import raise_if_it_heals

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--.*")
#: Makes the tables of the embedded observatory; a script, and no statement.
_SCRIPTS: Final = frozenset({"schema.sql"})


def statements(folder: Path) -> Mapping[str, str]:
    """Return the statements of a folder by name; their parameters are named, ``%(parameter)s``.

    A file that has changed since is read again.

    Args:
        folder: the folder.

    Raises:
        SettingsError: it cannot be read, a name is there twice, or a file holds a statement without a name.
    """
    try:
        files = sorted(path for path in folder.glob("*.sql") if path.name not in _SCRIPTS)
        stamps = tuple((path, path.stat().st_mtime_ns) for path in files)
        return _read(stamps)
    except OSError as error:
        raise_if_it_heals(error, folder)
        raise _incomplete(f"{folder} cannot be read ({error.strerror})") from None


def statement(folder: Path, name: str) -> str:
    """Return one of the statements of a folder.

    Args:
        folder: the folder.
        name: the statement's name.

    Raises:
        SettingsError: there is none of this name, or see :func:`statements`.
    """
    found = statements(folder).get(name)
    if found is None:
        raise _incomplete(f"{folder} has no statement {name}")
    return found


@lru_cache(maxsize=16)
def _read(files: tuple[tuple[Path, int], ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for path, _changed in files:
        head, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        if _COMMENT.sub("", head).strip():
            raise SettingsError(f"{path} holds a statement without a name: put a line `-- name: <name>` above it.")
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise SettingsError(f"{path} holds the statement {name}, which another file holds too: remove one.")
            found[name] = text.strip()
    return found


def _incomplete(what: str) -> SettingsError:
    return SettingsError(f"{what}: SRDP_HOME must name the project's own folder, complete.")
