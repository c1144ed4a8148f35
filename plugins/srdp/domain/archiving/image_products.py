"""The images among a run's products: which of them users want, and whether they can be archived."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from srdp.domain.archiving.contents import ANCILLARY, SCIENCE
from srdp.domain.archiving.products import is_fits, manifest_of, products_of
from srdp.domain.casa.manifest import Manifest
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.packing import Member
from srdp.domain.files.shared_folders import has_content, is_folder
from srdp.domain.imaging.fits_header import check_compression, read_image
from srdp.domain.runs.pipeline_run import RunDirectory

#: Which images users want: those of the targets, corrected for the primary beam. The pipeline distinguishes images that
#: would have the same name by a ``v2``, ``v3`` and so on before ``.fits``.
DEFAULT_SCIENCE_PATTERNS: Final = ("*_sci.*pbcor.fits", "*_sci.*pbcor.v[0-9]*.fits")

_IMAGE: Final = "image"
# What the archive's database takes as a file's name.
_PATH = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*", re.ASCII)
_LONGEST_PATH = 500


def image_kind(path: str, patterns: Sequence[str]) -> str:
    """Return whether an image is a science or an ancillary product.

    Args:
        path: its path in ``products/``.
        patterns: shell patterns of the names of science products, in which case matters.
    """
    name = PurePosixPath(path).name
    return SCIENCE if any(fnmatchcase(name, pattern) for pattern in patterns) else ANCILLARY


def images_of(directory: RunDirectory) -> tuple[Member, ...]:
    """Return every FITS file in ``products/``, by path, no matter who put it there; not those of the unpacked weblog.

    Args:
        directory: the run's directory.

    Raises:
        Refused: there are no products.
        LocalFilesError: a directory cannot be read.
    """
    found = [member for member in products_of(directory) if is_fits(member.name)]
    return tuple(member for member in found if not is_folder(directory.root, member.source))


def image_gaps(directory: RunDirectory, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return why a run's images cannot be archived, one sentence each; none if they can.

    The manifest must name images, each file that it names must be there with something in it, every FITS file must be
    one, and one at least must be a science product.

    Args:
        directory: the run's directory.
        patterns: shell patterns of the names of science products.

    Raises:
        LocalFilesError: a file cannot be read.
    """
    manifest, gaps = manifest_of(directory)
    if manifest is None:
        return gaps
    images = images_of(directory)
    gaps = (*_manifest_gaps(directory, manifest), *(gap for image in images for gap in _gaps_of(directory, image)))
    if not any(image_kind(image.name, patterns) == SCIENCE for image in images):
        named = ", ".join(quoted(pattern) for pattern in patterns)
        gaps += (f"None of the {len(images)} FITS files in products/ is a science product, which is called {named}.",)
    return gaps


def _manifest_gaps(directory: RunDirectory, manifest: Manifest) -> Iterator[str]:
    if not any(product.element == _IMAGE and is_fits(product.name) for product in manifest.products):
        yield "The manifest names no image."
    known = {member.name for member in products_of(directory)}
    for product in manifest.products:
        if product.name not in known or not has_content(directory.products, directory.products / product.name):
            yield (
                f"products/ lacks {quoted(product.name)}, which the manifest names, or it is empty or not a regular "
                "file."
            )


def _gaps_of(directory: RunDirectory, image: Member) -> Iterator[str]:
    if not _PATH.fullmatch(image.name) or len(image.name) > _LONGEST_PATH:
        yield f"{quoted(image.name)} in products/ has a name that the archive cannot store: rename it."
    try:
        # First: only then it is known that the file can be unpacked at all.
        check_compression(directory.root, image.source)
        read_image(directory.root, image.source, measure=False)
    except InvalidInput as error:
        yield str(error)
