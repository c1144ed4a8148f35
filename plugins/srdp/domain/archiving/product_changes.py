"""What was in ``products/`` when it was archived, and what has changed since: a cleanup deletes only what it knows."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.files.leftovers import is_left_over
from srdp.domain.files.packing import tree
from srdp.domain.files.shared_files import PRODUCT, FileIdentity, open_shared
from srdp.domain.files.shared_folders import link_target, look_at
from srdp.domain.files.trusted_root import OpenRoot
from srdp.domain.runs.pipeline_run import RunDirectory


@dataclass(frozen=True)
class ProductFile:
    """A file, or a symbolic link, as it was in ``products/``.

    Attributes:
        path: its path in ``products/``, with slashes.
        size_bytes: its size; of a link, the length of its target's name.
        crc32: zlib's CRC-32 of its bytes, unsigned; of a link, of its target's name.
    """

    path: str
    size_bytes: int
    crc32: int


def describe_products(directory: RunDirectory) -> tuple[ProductFile, ...]:
    """Return every file in ``products/``, FITS included, with its size and checksum.

    Args:
        directory: the run's directory.

    Raises:
        Refused: something is neither file, directory nor link.
        StorageUnavailable: a file was written meanwhile.
        LocalFilesError: something cannot be read.
    """
    return tuple(_describe(directory))


def changes_since(directory: RunDirectory, recorded: Iterable[ProductFile]) -> tuple[str, ...]:
    """Return what has changed in ``products/`` since it was described, one sentence each; none if nothing has.

    Args:
        directory: the run's directory, at its present place.
        recorded: what :func:`describe_products` returned.

    Raises:
        Refused: something is neither file, directory nor link.
        StorageUnavailable: a file was written meanwhile.
        LocalFilesError: something cannot be read.
    """
    # Former releases recorded what editors had left, too.
    before = {product.path: product for product in recorded if not is_left_over(PurePosixPath(product.path).name)}
    is_there = look_at(directory.root, directory.products) is not None
    now = {product.path: product for product in _describe(directory)} if is_there else {}
    changes = [
        *((path, "was put into products/") for path in now.keys() - before.keys()),
        *((path, "was removed from products/") for path in before.keys() - now.keys()),
        *((path, "was changed in products/") for path in now.keys() & before.keys() if now[path] != before[path]),
    ]
    return tuple(f"{quoted(path, 300)} {what} after the ingest." for path, what in sorted(changes))


def _describe(directory: RunDirectory) -> Iterator[ProductFile]:
    with OpenRoot(directory.root) as root:
        for member in tree(directory.root, directory.products):
            facts = member.found
            if facts is None:  # never of a tree
                continue
            if stat.S_ISLNK(facts.st_mode):
                content = os.fsencode(link_target(directory.root, member.source))
                yield ProductFile(member.name, len(content), zlib.crc32(content))
            elif stat.S_ISREG(facts.st_mode):
                yield ProductFile(member.name, *_read(root, member.source, FileIdentity.of(facts)))
            elif not stat.S_ISDIR(facts.st_mode):
                raise Refused(f"{quoted(member.source, 300)} is neither a file nor a directory: remove it.")


def _read(root: OpenRoot, path: Path, looked_at: FileIdentity) -> tuple[int, int]:
    size = crc32 = 0
    with open_shared(root, path, PRODUCT, looked_at) as file:
        for block in file.blocks():
            size, crc32 = size + len(block), zlib.crc32(block, crc32)
        file.check_unchanged()
    return size, crc32
