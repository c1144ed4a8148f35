"""Files that a person gives to a run: named by a path on the shared file system, or pasted into a form.

A path is followed only below the folders that are meant for it: it is resolved, then opened from there as everything
is that others can write (:mod:`srdp.domain.files.shared_files`), so that nothing that is moved meanwhile leads
elsewhere. Whether the text in a file is right is for the linters to say, which name line and column.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srdp.domain.analyst_files.names import PROCESSING_REQUEST
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import said
from srdp.domain.files.storage import AccessDenied, LocalFilesError, StorageUnavailable

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import SubmittedFile

#: The report of a QA, which is given with a verdict.
QA_REPORT: Final = "qa_report.txt"
#: No file that a person writes is larger.
LARGEST_BYTES: Final = 1_000_000
_LONGEST_PATH: Final = 1000
#: The source of a file that was pasted.
PASTED: Final = "pasted"
#: What the source of a file begins with that CASA itself has left in ``working/``, and nobody gave.
BY_CASA: Final = "CASA's "

# The end of a line in a form is whatever the browser makes of it; these bytes come from a person, who sees
# neither a carriage return nor whether there is a last newline. A PPR is XML, to which neither matters: it stays.
_BYTE_FOR_BYTE: Final = frozenset({PROCESSING_REQUEST})


class FileNotTaken(InvalidInput):
    """A file that a person gave cannot be taken."""


def check_given_once(name: str, path: object, text: object) -> None:
    """Refuse a file that is given in both ways.

    Args:
        name: what it is, for example :data:`FLAG_TEMPLATE`.
        path: its path, if that is given.
        text: the file itself, if that is given.

    Raises:
        FileNotTaken: both are given.
    """
    if said(path) is not None and said(text) is not None:
        raise FileNotTaken(f"{name} is given twice, by its path and as text: leave one of the two empty.")


def check_path(name: str, path: object) -> str:
    """Return what a person typed as the path of a file, if it may be one; the file is not looked at.

    Args:
        name: what it is.
        path: what was typed.

    Raises:
        FileNotTaken: it is no absolute path, or longer than any.
    """
    if not isinstance(path, str):
        raise FileNotTaken(f"The path of the {name} is {quoted(path)}, which is not text: give its path.")
    if len(path) > _LONGEST_PATH:
        raise FileNotTaken(f"{quoted(path)} is too long a path: check the path and try again.")
    if not path.startswith("/"):
        raise FileNotTaken(f"{quoted(path, 300)} is no absolute path: begin it with a slash.")
    return path


def check_pasted(name: str, text: object) -> bytes:
    """Return the bytes of a file that was pasted; what it says is not looked at.

    Args:
        name: what it is.
        text: the file itself.

    Raises:
        FileNotTaken: it is too large, or not text.
    """
    if not isinstance(text, str):
        raise FileNotTaken(f"The pasted {name} is {quoted(text)}, which is not text: paste the file itself.")
    return _pasted(name, text)


def submitted_file(name: str, *, path: str | None, text: str | None, roots: Sequence[Path]) -> SubmittedFile | None:
    """Return a file that a person gave in one of two ways; None if in neither.

    A file on disk is taken byte for byte. So is a pasted PPR; other pasted text gets plain line ends and a last one.

    Args:
        name: what it is, for example ``flagtemplate.txt``.
        path: its absolute path, as typed.
        text: the file itself, as pasted.
        roots: the folders that it may be below.

    Raises:
        FileNotTaken: both are given; or the file cannot be taken, and why.
        ServiceUnavailable: the file system does not serve now.
    """
    from srdp.domain.runs.ledger_records import SubmittedFile

    check_given_once(name, path, text)
    path, text = said(path), said(text)
    if text is not None:
        return SubmittedFile(name=name, content=_pasted(name, text), source=PASTED)
    if path is None:
        return None
    return SubmittedFile(name=name, content=read_below(path.strip(), roots), source=path.strip())


def read_below(path: str, roots: Sequence[Path], *, largest_bytes: int = LARGEST_BYTES) -> bytes:
    """Return the bytes of a regular file below one of some folders.

    Symbolic links are followed as long as they end below one of the folders; hard links are not seen.

    Args:
        path: absolute; as a person typed it.
        roots: the folders.
        largest_bytes: how large it may be.

    Raises:
        FileNotTaken: it is elsewhere, is not there, may not be read, is no regular file, or is too large.
        StorageUnavailable: the file system does not serve now, or the file is being written.
    """
    try:
        root, place = _place(path, roots)
    except ValueError:  # what no path can hold: a NUL, or half a character
        raise FileNotTaken(f"{quoted(path, 300)} is no path: type it again.") from None
    content = read_lying(root, place, largest_bytes=largest_bytes)
    if content is None:
        raise FileNotTaken(f"{quoted(path, 300)} is not there: check the path and try again.")
    return content


def read_lying(root: Path, place: Path, *, largest_bytes: int = LARGEST_BYTES) -> bytes | None:
    """Return the bytes of a file that is in a folder, for example in a run's directory; None if it is not there.

    Args:
        root: the folder that is trusted: no symbolic link is followed from there on.
        place: the file, below the root.
        largest_bytes: how large it may be.

    Raises:
        FileNotTaken: it may not be read, is no regular file or behind a symbolic link, or is too large.
        StorageUnavailable: the file system does not serve now, or the file is being written.
    """
    from srdp.domain.files.shared_files import FileKind, read_shared

    with _explained(place):
        try:
            return read_shared(root, place, FileKind("a file that is given", largest_bytes))
        except FileNotFoundError:
            return None


def _pasted(name: str, text: str) -> bytes:
    if name not in _BYTE_FOR_BYTE:
        text = text.replace("\r\n", "\n")
        text = text if text.endswith("\n") else f"{text}\n"
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise FileNotTaken(
            f"The pasted {name} holds {quoted(text[error.start : error.end])}, which is not a character: remove it."
        ) from None
    if len(content) > LARGEST_BYTES:
        raise FileNotTaken(f"The pasted {name} is larger than {LARGEST_BYTES} bytes: paste what you meant.")
    return content


def _place(path: str, roots: Sequence[Path]) -> tuple[Path, Path]:
    """Return the folder below which a path is, and the path; both are resolved."""
    check_path("file", path)
    # Not strict: do not reveal whether something exists elsewhere.
    resolved = Path(os.path.realpath(path))
    for root in roots:
        folder = Path(os.path.realpath(root))
        if resolved.is_relative_to(folder) and resolved != folder:
            return folder, resolved
    known = ", ".join(str(root) for root in roots)
    raise FileNotTaken(
        f"{quoted(path, 300)} is not below a folder that files are taken from ({known}): copy it to one of them, or "
        "paste its text."
    )


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    """Report what a person can fix; leave all else to the file system."""
    from srdp.domain.files.trusted_root import UnsafeFile

    try:
        yield
    except AccessDenied:
        raise FileNotTaken(
            f"{quoted(place, 300)} may not be read by the account that runs the workflows: give it permission "
            "and try again."
        ) from None
    except StorageUnavailable:
        raise
    except (UnsafeFile, LocalFilesError) as error:
        raise FileNotTaken(str(error)) from None
