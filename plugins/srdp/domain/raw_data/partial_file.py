"""A partial download: hidden, and named by what is fetched, until it is complete and verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srdp.domain.files.shared_files import RAW_DATA, open_to_write
from srdp.domain.files.storage import storage_error
from srdp.domain.ngas.locator_report import LocatedFile


def partial_name(file: LocatedFile) -> str:
    """Return the name of the hidden file for a file on its way: another content never has the same."""
    what = "\0".join(
        (str(file.destination), file.ngas_file_id, str(file.version), str(file.size), str(file.checksum))
    ).encode()
    return f"{hashlib.sha256(what).hexdigest()[:32]}.part"


@contextmanager
def open_partial(root: Path, unfinished: Path, file: LocatedFile, *, make: bool = True) -> Iterator[int]:
    """Open the hidden file for a file on its way for reading and writing.

    Args:
        root: the run's directory.
        unfinished: the directory for files on their way.
        file: what is to be fetched.
        make: whether to make it if it is not there.

    Yields:
        Its descriptor.

    Raises:
        UnsafeFile: something else has its name.
    """
    with open_to_write(root, unfinished / partial_name(file), RAW_DATA, make=make) as descriptor:
        yield descriptor


def write_block(descriptor: int, block: bytes) -> None:
    """Append a whole block."""
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def local_failures(place: Path) -> Iterator[None]:
    """Turn what goes wrong on the disk here into one sentence.

    Args:
        place: the file or directory that is being written.

    Raises:
        StorageUnavailable: the file system is full, away or not writable; see :mod:`srdp.domain.files.storage`.
        LocalFilesError: anything else that the operating system refuses.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, f"{place} could not be written") from None
