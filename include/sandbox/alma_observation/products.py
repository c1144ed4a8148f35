"""What ``make_mous.py`` made, read, and given the names of another MOUS; needs nothing of CASA."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.alma_observation import facts
from srdp.domain.casa.manifest import Manifest, read_manifest
from srdp.domain.common.errors import InvalidInput

_MANIFEST_SUFFIX = f".{facts.CALIBRATION_RECIPE}.pipeline_manifest.xml"


@dataclass(frozen=True)
class MadeMous:
    """A MOUS as it was made.

    Attributes:
        asdms: the ASDMs' directories, which have their names.
        name: the name of the MOUS on disk.
        manifest: what the manifest says.
        products: the products of the calibration, the manifest among them, by their names.
    """

    asdms: tuple[Path, ...]
    name: str
    manifest: Manifest
    products: Mapping[str, bytes]

    def products_named(self, *, mous: str, asdms: Sequence[str]) -> dict[str, bytes]:
        """Return the products as a MOUS and ASDMs of other names would have them.

        Names stand in the names of the products and of what is packed in them, and in their texts. Inside the
        calibration tables the former name remains: nothing that applies them reads it.

        Args:
            mous: the name of the MOUS on disk.
            asdms: those of the ASDMs, in the order of :attr:`asdms`.
        """
        new_names = {self.name: mous, **{asdm.name: name for asdm, name in zip(self.asdms, asdms, strict=True)}}

        def rename(text: str) -> str:
            for former, new in new_names.items():
                text = text.replace(former, new)
            return text

        def renamed(name: str, content: bytes) -> bytes:
            if name.endswith(".tgz"):
                return _repacked({rename(member): inside for member, inside in _unpacked(content).items()})
            return rename(content.decode()).encode()

        return {rename(name): renamed(name, content) for name, content in self.products.items()}


def read_made(directory: Path) -> MadeMous:
    """Read the directory that ``make_mous.py`` made.

    Args:
        directory: the directory.

    Raises:
        InvalidInput: it does not hold an ASDM, one manifest of the calibration, and what that names.
    """
    asdms = tuple(sorted(path for path in directory.glob("*") if path.is_dir()))
    manifests = sorted(directory.glob(f"*{_MANIFEST_SUFFIX}"))
    if not asdms or len(manifests) != 1:
        raise InvalidInput(
            f"{directory} must hold ASDMs and one *{_MANIFEST_SUFFIX}, and holds {len(asdms)} and "
            f"{len(manifests)}: give the directory that make_mous.py made."
        )
    (path,) = manifests
    products = {path.name: path.read_bytes() for path in sorted(directory.glob("*")) if path.is_file()}
    manifest = read_manifest(products[path.name], str(path))
    for product in manifest.products:
        if product.name not in products:
            raise InvalidInput(f"{directory} holds no {product.name}, which {path.name} names: make the MOUS again.")
    return MadeMous(asdms, path.name.removesuffix(_MANIFEST_SUFFIX), manifest, products)


def _unpacked(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {member.name: stream.read() for member in tar if (stream := tar.extractfile(member)) is not None}


def _repacked(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=3) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
