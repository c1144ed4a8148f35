"""The pipeline manifest: which products a run says it made.

Attributes drift from release to release, so that only element names and ``name=`` are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from srdp.domain.common.errors import shortened
from srdp.domain.common.safe_xml import XmlElement, parse_xml

#: What the pipeline calls a product that it did not make.
UNDEFINED = "Undefined"
#: The products that a restore needs beside the manifest itself; the manifest's elements, and what people call them.
RESTORE_KINDS = {"caltables": "calibration tables", "finalflags": "flags", "applycmds": "apply list"}

# Elements that name something other than a file in products/.
_LONGEST_VERSION = 100
_NO_FILES = frozenset(
    {
        "piperesults",
        "ous",
        "casaversion",
        "casa_version",
        "pipeline_version",
        "procedure_name",
        "session",
        "asdm",
        "execution_environment",
        "environment",
        "recipe_name",
    }
)
# Elements that name a file whatever the name looks like. All others name one if it looks like a product.
_FILES = frozenset({*RESTORE_KINDS, "piperequest", "weblog", "casa_cmdlog", "pipescript", "restorescript", "image"})
_PRODUCT_SUFFIXES = frozenset({".csv", ".dat", ".fits", ".gz", ".html", ".json", ".log", ".py", ".tar", ".tgz"}) | {
    ".txt",
    ".xml",
}


@dataclass(frozen=True)
class NamedProduct:
    """A product as the manifest names it.

    Attributes:
        element: the manifest's element, for example ``caltables``.
        name: the file's name, from outside and not checked.
    """

    element: str
    name: str


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        products: every file that it names, in its order; what was not made is in :attr:`undefined` instead.
        undefined: the elements of products that were not made, in the manifest's order, each once.
        casa_version: the release of CASA, if the manifest names it.
        pipeline_version: the release of the pipeline, if the manifest names it.
        calibrations: of each measurement set, the name of its session's calibration tables and that of its apply list;
            only those for which the manifest names both.
        sessions: the name of the session of each measurement set, for example ``session_1``, as far as it names both.
    """

    products: tuple[NamedProduct, ...]
    undefined: tuple[str, ...]
    casa_version: str | None
    pipeline_version: str | None
    sessions: Mapping[str, str] = field(default_factory=dict)
    calibrations: tuple[tuple[str, str], ...] = ()

    @property
    def missing_for_a_restore(self) -> tuple[str, ...]:
        """The kinds of product that a restore needs and the manifest does not name, as people call them."""
        named = {product.element for product in self.products} - set(self.undefined)
        return tuple(words for element, words in RESTORE_KINDS.items() if element not in named)


def read_manifest(content: bytes, where: str) -> Manifest:
    """Read a manifest.

    Args:
        content: the file's bytes.
        where: the file's path, for the error's sentence.

    Raises:
        InvalidInput: it is not well-formed, declares a document type, or is no manifest.
    """
    root = parse_xml(content, where, root="piperesults")
    products: list[NamedProduct] = []
    undefined: dict[str, None] = {}
    versions: dict[str, str] = {}
    for element in root.iter("*"):
        tag, name = str(element.tag), str(element.get("name", "")).strip()
        if not name:
            if tag in _FILES:
                undefined[tag] = None
        elif tag in _NO_FILES:
            versions.setdefault(tag, name)
        elif name == UNDEFINED:
            undefined[tag] = None
        elif tag in _FILES or PurePosixPath(name).suffix.lower() in _PRODUCT_SUFFIXES:
            products.append(NamedProduct(tag, name))
    return Manifest(
        products=tuple(products),
        undefined=tuple(undefined),
        casa_version=_version(versions, "casaversion") or _version(versions, "casa_version"),
        pipeline_version=_version(versions, "pipeline_version"),
        sessions={
            str(asdm.get("name", "")): str(session.get("name", ""))
            for session in root.iter("session")
            for asdm in session.iter("asdm")
        },
        calibrations=tuple(
            (tables, apply_list)
            for session in root.iter("session")
            for asdm in session.iter("asdm")
            for tables, apply_list in [(_product(session, "caltables"), _product(asdm, "applycmds"))]
            if tables and apply_list
        ),
    )


def _version(versions: Mapping[str, str], element: str) -> str | None:
    return shortened(versions.get(element, ""), _LONGEST_VERSION) or None


def _product(parent: XmlElement, element: str) -> str:
    """Return the name of a product; nothing if it was not made or is not named."""
    found = parent.find(element)
    name = "" if found is None else str(found.get("name", "")).strip()
    return "" if name == UNDEFINED else name
