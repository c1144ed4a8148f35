"""XML that came from outside, read without entities, network or document type."""

from __future__ import annotations

from typing import cast

from lxml import etree
from lxml.etree import _Element as XmlElement

from srdp.domain.common.errors import InvalidInput, quoted

__all__ = ["UnreadableXml", "XmlElement", "line_of", "parse_xml"]

# PPRs, manifests, reports and NGAS replies are some tens of kilobytes; the largest reports reach a few megabytes.
_LARGEST_BYTES = 20_000_000


class UnreadableXml(InvalidInput):
    """A document is not what it should be, in one place of it.

    Attributes:
        problem: what is wrong with the document, as the sentence continues after its name.
        fix: what to do.
        line: counted from 1.
        column: counted from 1.
    """

    def __init__(self, where: str, problem: str, fix: str, line: int = 1, column: int = 1) -> None:
        self.problem = problem
        self.fix = fix
        self.line = line
        self.column = column
        super().__init__(f"{where} {problem}: {fix}.")


def parse_xml(content: bytes, where: str, *, root: str | None, doctype_allowed: bool = False) -> XmlElement:
    """Return the root element of a document, with every namespace removed.

    Args:
        content: the document's bytes.
        where: what a person calls the document, for the error's sentence: a path or a URL.
        root: the name that the root element must have; None where releases differ in it.
        doctype_allowed: whether a document type declaration is tolerated (it is never loaded). NGAS sends one.

    Raises:
        UnreadableXml: the document is too large, not well-formed, not of that root, or declares a document type.
    """
    if len(content) > _LARGEST_BYTES:
        raise UnreadableXml(where, f"is larger than {_LARGEST_BYTES} bytes", "give the right one")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        tree = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        problem = f"is not well-formed XML ({quoted(error.msg, limit=200)})"
        raise UnreadableXml(where, problem, "correct it there", line, column) from None
    if not doctype_allowed and tree.getroottree().docinfo.internalDTD is not None:
        before, _, _ = content.partition(b"<!DOCTYPE")
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        raise UnreadableXml(
            where, "has a document type declaration", "remove it, no reader here needs one", line, column
        )
    for element in tree.iter("*"):
        element.tag = etree.QName(element).localname
    if root is not None and tree.tag != root:
        problem = f"begins with <{quoted(tree.tag)}>, not with <{root}>"
        raise UnreadableXml(where, problem, "give the right kind of document", line_of(tree))
    return tree


def line_of(element: XmlElement) -> int:
    """Return the line in which an element begins, counted from 1; 1 where that is not known."""
    return cast("int | None", element.sourceline) or 1
