"""Whether products were written to their end, where nobody knows how the process that wrote them ended."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from srdp.domain.errors import quoted
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.storage import listed, local_files

_BLOCK: Final = 1 << 20
# A FITS file is a whole number of blocks of this many bytes (FITS standard 4.0, section 3.1).
_FITS_BLOCK: Final = 2880


def unfinished_products(directory: RunDirectory) -> tuple[str, ...]:
    """Returns the products that were not written to their end, one sentence each; none if all were.

    A compressed tar is read to its end, where gzip keeps its checksum; of an image the size is looked at.

    Args:
        directory: the run's directory.

    Raises:
        StorageUnavailable: something cannot be read now.
    """
    return tuple(_unfinished(directory.products))


def _unfinished(products: Path) -> Iterator[str]:
    for path in (*listed(products, "*.tgz"), *listed(products, "*.gz")):
        if not _is_whole(path):
            yield f"products/ holds {quoted(path.name)}, which was not written to its end."
    for path in listed(products, "*.fits"):
        with local_files(path):
            size = path.stat().st_size
        if size == 0 or size % _FITS_BLOCK:
            yield f"products/ holds {quoted(path.name)} with {size} bytes, which is no whole FITS file."


def _is_whole(path: Path) -> bool:
    with local_files(path):
        if path.stat().st_size == 0:
            return False
        try:
            with gzip.open(path) as stream:
                while stream.read(_BLOCK):
                    pass
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return False
    return True
