"""Whether products were written to their end, if it is not known how their process ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.shared_files import PRODUCT, open_shared
from srdp.domain.files.shared_folders import list_shared
from srdp.domain.files.unpacking import Damaged, is_packed, unpacked
from srdp.domain.runs.pipeline_run import RunDirectory

# A FITS file is a whole number of blocks of this many bytes (FITS standard 4.0, section 3.1).
_FITS_BLOCK: Final = 2880


def unfinished_products(directory: RunDirectory) -> tuple[str, ...]:
    """Return the products that were not written to their end, one sentence each; none if all were.

    A compressed tar is read to its end, where gzip keeps its checksum; of an image the size is looked at.

    Args:
        directory: the run's directory.

    Raises:
        StorageUnavailable: something cannot be read now.
    """
    return tuple(_unfinished(directory))


def _unfinished(directory: RunDirectory) -> Iterator[str]:
    root, products = directory.root, directory.products
    try:
        for pattern in ("*.tgz", "*.gz"):
            for path in list_shared(root, products, pattern):
                if not _is_whole(root, path):
                    yield f"products/ holds {quoted(path.name)}, which was not written to its end."
        for path in list_shared(root, products, "*.fits"):
            with open_shared(root, path, PRODUCT) as file:
                size = file.identity.size
            if size == 0 or size % _FITS_BLOCK:
                yield f"products/ holds {quoted(path.name)} with {size} bytes, which is no whole FITS file."
    except InvalidInput as error:  # what is no file, or unpacks to far too much
        yield str(error)


def _is_whole(root: Path, path: Path) -> bool:
    with open_shared(root, path, PRODUCT) as file:
        if not is_packed(file):
            return False
        try:
            for _ in unpacked(file):
                pass
        except Damaged:
            return False
    return True
