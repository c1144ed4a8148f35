"""Whether the calibration tables that an apply list names are inside the tar of calibration tables.

The apply list, ``<EB>.ms.calapply.txt``, is the pipeline's: ``# Apply file for <EB>.ms``, then a call
``applycal(vis=..., gaintable=[...], ...)`` a line. It is read as Python's literals and never executed. A table is a
directory of the tar of its session's tables, under the name by which the apply list calls it.
"""

from __future__ import annotations

import ast
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from srdp.domain.casa.manifest import Manifest
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.shared_files import APPLY_LIST, PRODUCT, open_shared, read_shared
from srdp.domain.files.shared_folders import has_content
from srdp.domain.files.unpacking import limited_memory, unpacked

# Parsed, a call takes some hundred times its length in memory. Real ones have some thousand characters.
_LONGEST_CALL = 1 << 18
# Real tars hold some thousand files; of each tarfile keeps a kilobyte.
_MOST_MEMBERS = 200_000
_MOST_TOLD = 3
_NOT_RESTORABLE = "the calibration could not be restored"


def table_gaps(products: Path, manifest: Manifest) -> Iterator[str]:
    """Yield why the calibration tables would not suffice to apply a calibration, one sentence each; none if they do.

    What is not there at all, or empty, is left to those who look at each file.

    Args:
        products: the run's ``products/``.
        manifest: its manifest, which names the apply list of each measurement set and its session's tables.

    Raises:
        LocalFilesError: a file cannot be read.
    """
    held: dict[str, frozenset[str]] = {}
    for calibration in manifest.calibrations:
        caltables, apply_list = calibration
        if not all(_lies_in(products, name) for name in calibration):
            continue
        try:
            if caltables not in held:
                held[caltables] = _tables_in(products, products / caltables)
            named = _tables_applied(products, products / apply_list)
        except InvalidInput as error:
            yield f"{error}: {_NOT_RESTORABLE}."
            continue
        missing = [table for table in named if table not in held[caltables]]
        for table in missing[:_MOST_TOLD]:
            yield (
                f"{quoted(caltables)} in products/ does not hold the table {quoted(table, 200)}, which "
                f"{quoted(apply_list)} applies: {_NOT_RESTORABLE}."
            )
        if len(missing) > _MOST_TOLD:
            yield f"And {len(missing) - _MOST_TOLD} more tables of {quoted(apply_list)} are not in it."


def _lies_in(products: Path, name: str) -> bool:
    return PurePosixPath(name).name == name and has_content(products, products / name)


class _Pieces:
    """What yields pieces, as a file that tarfile reads from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        content, self._rest = self._rest[:size], self._rest[size:]
        return content


def _tables_in(products: Path, path: Path) -> frozenset[str]:
    """Return the names at the top of a tar, of what has a file in it or is one."""
    with open_shared(products, path, PRODUCT) as file:
        try:
            with limited_memory():
                return frozenset(_tops(_Pieces(unpacked(file))))
        except (InvalidInput, tarfile.TarError, EOFError, ValueError) as error:
            cause = quoted(" ".join(str(error).split()), 120)
            raise InvalidInput(f"{quoted(path.name)} in products/ cannot be read as a tar ({cause})") from None
        except MemoryError:
            raise InvalidInput(f"{quoted(path.name)} in products/ takes more memory than a tar of tables may") from None


def _tops(content: _Pieces) -> Iterator[str]:
    with tarfile.open(fileobj=cast("IO[bytes]", content), mode="r|") as packed:
        for number, member in enumerate(iter(packed.next, None)):
            if number == _MOST_MEMBERS:
                raise InvalidInput(f"it holds more than {_MOST_MEMBERS} files")
            path = PurePosixPath(member.name)
            if member.isfile() and path.parts:
                yield path.parts[0]


def _tables_applied(products: Path, path: Path) -> tuple[str, ...]:
    """Return every table that an apply list names, each once, in its order."""
    text = read_shared(products, path, APPLY_LIST).decode("utf-8", "replace")
    tables: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                if len(line) > _LONGEST_CALL:
                    raise ValueError("no call that a pipeline writes")
                tables |= dict.fromkeys(_gaintables(line.strip()))
            except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
                raise InvalidInput(
                    f"Line {number} of {quoted(path.name)} in products/ is no call of applycal with its tables"
                ) from None
    if not tables:
        raise InvalidInput(f"{quoted(path.name)} in products/ applies no calibration table")
    return tuple(tables)


def _gaintables(call: str) -> list[str]:
    parsed = ast.parse(call, mode="eval").body
    if not isinstance(parsed, ast.Call) or not isinstance(parsed.func, ast.Name) or parsed.func.id != "applycal":
        raise ValueError("no call of applycal")
    named = next((ast.literal_eval(each.value) for each in parsed.keywords if each.arg == "gaintable"), None)
    tables = [named] if isinstance(named, str) else list(named or ())
    if not all(isinstance(table, str) for table in tables):
        raise ValueError("no list of tables")
    return [table.rstrip("/") for table in tables if table]
