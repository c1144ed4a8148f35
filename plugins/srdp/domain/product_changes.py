"""What lay in ``products/`` when it was archived, and what has changed since: a cleanup deletes only what it knows."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from srdp.domain.errors import Refused, quoted
from srdp.domain.leftovers import is_left_over
from srdp.domain.packing import tree
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.storage import local_files

_BLOCK = 1 << 20


@dataclass(frozen=True)
class ProductFile:
    """A file, or a symbolic link, as it lay in ``products/``.

    Attributes:
        path: its path in ``products/``, with slashes.
        size_bytes: its size; of a link, the length of its target's name.
        crc32: zlib's CRC-32 of its bytes, unsigned; of a link, of its target's name.
    """

    path: str
    size_bytes: int
    crc32: int


def describe_products(directory: RunDirectory) -> tuple[ProductFile, ...]:
    """Returns every file in ``products/``, FITS included, with its size and checksum.

    Args:
        directory: the run's directory.

    Raises:
        Refused: something is neither file, directory nor link.
        LocalFilesError: something cannot be read.
    """
    return tuple(_describe(directory))


def changes_since(directory: RunDirectory, recorded: Iterable[ProductFile]) -> tuple[str, ...]:
    """Returns what has changed in ``products/`` since it was described, one sentence each; none if nothing has.

    Args:
        directory: the run's directory, from where it lies now.
        recorded: what :func:`describe_products` said.

    Raises:
        Refused: something is neither file, directory nor link.
        LocalFilesError: something cannot be read.
    """
    # Former releases recorded what editors had left, too.
    before = {product.path: product for product in recorded if not is_left_over(PurePosixPath(product.path).name)}
    now = {product.path: product for product in _describe(directory)} if directory.products.exists() else {}
    changes = [
        *((path, "was put into products/") for path in now.keys() - before.keys()),
        *((path, "was removed from products/") for path in before.keys() - now.keys()),
        *((path, "was changed in products/") for path in now.keys() & before.keys() if now[path] != before[path]),
    ]
    return tuple(f"{quoted(path, 300)} {what} after the ingest." for path, what in sorted(changes))


def _describe(directory: RunDirectory) -> Iterator[ProductFile]:
    for member in tree(directory.products):
        path = member.source
        with local_files(path):
            if path.is_symlink():
                content = os.fsencode(path.readlink())
                yield ProductFile(member.name, len(content), zlib.crc32(content))
            elif path.is_file():
                yield ProductFile(member.name, *_read(path))
            elif not path.is_dir():
                raise Refused(f"{quoted(path, 300)} is neither a file nor a directory: remove it.")


def _read(path: Path) -> tuple[int, int]:
    size = crc32 = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            size, crc32 = size + len(block), zlib.crc32(block, crc32)
    return size, crc32
