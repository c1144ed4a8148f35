"""XML that came from outside, read without entities, network or document type."""

from __future__ import annotations

from lxml import etree
from lxml.etree import _Element as XmlElement

from srdp.domain.errors import InvalidInput, quoted

__all__ = ["XmlElement", "parse_xml"]

# PPRs, manifests, reports and NGAS replies are some tens of kilobytes; the largest reports reach a few megabytes.
_LARGEST_BYTES = 20_000_000


def parse_xml(content: bytes, where: str, *, root: str | None, doctype_allowed: bool = False) -> XmlElement:
    """Returns the root element of a document, with every namespace removed.

    Args:
        content: the document's bytes.
        where: what a person calls the document, for the error's sentence: a path or a URL.
        root: the name that the root element must have; None where releases differ in it.
        doctype_allowed: whether a document type declaration is tolerated (it is never loaded). NGAS sends one.

    Raises:
        InvalidInput: the document is too large, not well-formed, not of that root, or declares a document type.
    """
    if len(content) > _LARGEST_BYTES:
        raise InvalidInput(f"{where} is larger than {_LARGEST_BYTES} bytes: it is not what it should be.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        tree = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise InvalidInput(f"{where} is not well-formed XML: {error.msg}.") from None
    if not doctype_allowed and tree.getroottree().docinfo.internalDTD is not None:
        raise InvalidInput(f"{where} has a document type declaration: remove it, no reader here needs one.")
    for element in tree.iter("*"):
        element.tag = etree.QName(element).localname
    if root is not None and tree.tag != root:
        raise InvalidInput(f"{where} begins with <{quoted(tree.tag)}>, not with <{root}>: it is another kind of file.")
    return tree
