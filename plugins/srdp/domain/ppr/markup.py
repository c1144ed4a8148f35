"""The XML of a pipeline processing request (PPR): all that the pipeline's reader sees of it, and its position.

The pipeline parses a PPR with expat into a DOM in which comments, processing instructions and CDATA sections are nodes
beside the text; its reader takes a text only if it is the one node of its element. The tree of this module keeps the
same nodes, by the same parser, and the line and column of each for the person who corrects the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from srdp.domain.common.errors import quoted
from srdp.domain.common.safe_xml import UnreadableXml

#: The name of a PPR's root element.
ROOT = "SciPipeRequest"
TEXT, COMMENT, INSTRUCTION, CDATA = "text", "a comment", "a processing instruction", "a CDATA section"

# A PPR has some kilobytes; one of a thousand cubes has a megabyte.
_LARGEST_BYTES = 4_000_000
_DEEPEST = 100


@dataclass(eq=False)
class Node:
    """What is in an element and is no element.

    Attributes:
        kind: one of :data:`TEXT`, :data:`COMMENT`, :data:`INSTRUCTION`, :data:`CDATA`.
        data: what it says.
    """

    kind: str
    data: str


@dataclass(eq=False)
class Element:
    """An element.

    Attributes:
        tag: its name as the pipeline's reader has it: without namespace, ``-`` as ``_``.
        attributes: its attributes by their names as they are written, ``xmlns`` left out.
        line: where it begins, counted from 1.
        column: likewise, in characters.
        parent: the element around it; None for the root.
        path: the names from the root's children down to this element, with ``/`` between them; empty for the root.
        nodes: what stands in it, in its order.
    """

    tag: str
    attributes: Mapping[str, str]
    line: int
    column: int
    parent: Element | None = None
    path: str = field(init=False, default="")
    nodes: list[Element | Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.parent is not None:
            self.path = f"{self.parent.path}/{self.tag}" if self.parent.path else self.tag

    def children(self, tag: str | None = None) -> list[Element]:
        """Return the elements in this one, all or those of a name."""
        return [node for node in self.nodes if isinstance(node, Element) and tag in {None, node.tag}]

    def findall(self, path: str) -> list[Element]:
        """Return the elements at a path below this one, for example ``ParameterSet/Parameter``."""
        found = [self]
        for tag in path.split("/"):
            found = [child for element in found for child in element.children(tag)]
        return found

    def find(self, path: str) -> Element | None:
        """Return the first of the elements at a path, or None."""
        return next(iter(self.findall(path)), None)

    def iter(self) -> Iterator[Element]:
        """Yield this element and all in it, in the order in which they begin."""
        yield self
        for child in self.children():
            yield from child.iter()


def text_of(element: Element | None) -> str:
    """Return what an element says to a person: its text without blanks around it; nothing if there is no element.

    A person sees neither comments nor how a text is written; the pipeline's reader does. See
    :func:`srdp.domain.ppr.reader.value_of` for what that takes.
    """
    if element is None:
        return ""
    texts = (node.data for node in element.nodes if isinstance(node, Node) and node.kind in {TEXT, CDATA})
    return "".join(texts).strip()


def parse_ppr(content: bytes, file: str) -> Element:
    """Return the root of a PPR.

    Args:
        content: the file's bytes.
        file: what the person calls the file, for the error's sentence.

    Raises:
        UnreadableXml: it is too large, not well-formed, nested too deeply, has a document type or another root.
    """
    if len(content) > _LARGEST_BYTES:
        raise UnreadableXml(file, f"is larger than {_LARGEST_BYTES} bytes", "give the right one")
    builder = _Builder(content, file)
    try:
        builder.parser.Parse(content, True)  # noqa: FBT003  expat takes no keyword
    except expat.ExpatError as error:
        problem = f"is not well-formed XML ({quoted(expat.ErrorString(error.code), limit=200)})"
        raise UnreadableXml(file, problem, "correct it there", error.lineno, error.offset + 1) from None
    except (LookupError, ValueError) as error:
        problem = f"is in an encoding that the pipeline does not know ({quoted(str(error), limit=200)})"
        raise UnreadableXml(file, problem, "save it as UTF-8") from None
    root = builder.root
    if root is None or root.tag != ROOT:
        name = root.tag if root else ""
        line, column = (root.line, root.column) if root else (1, 1)
        problem = f"begins with <{quoted(name)}>, not with <{ROOT}>"
        raise UnreadableXml(file, problem, "give the right kind of document", line, column)
    return root


class _Builder:
    """Makes the tree of what expat reports, as the DOM of the pipeline's Python does.

    Attributes:
        parser: the parser that reports to this builder.
        root: the root element once it was begun.
    """

    def __init__(self, content: bytes, file: str) -> None:
        self.root: Element | None = None
        self._content = content
        self._file = file
        self._open: list[Element] = []
        self._cdata: Node | None = None
        self._in_cdata = False
        # With namespaces, as the pipeline's, which refuses a prefix that is not declared.
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.CommentHandler = lambda data: self._add(Node(COMMENT, data))
        self.parser.ProcessingInstructionHandler = lambda target, data: self._add(Node(INSTRUCTION, f"{target} {data}"))
        self.parser.StartCdataSectionHandler = self._start_cdata
        self.parser.EndCdataSectionHandler = self._end_cdata
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype

    @property
    def _place(self) -> tuple[int, int]:
        return self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1

    def _add(self, node: Element | Node) -> None:
        if self._open:
            self._open[-1].nodes.append(node)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        parent = self._open[-1] if self._open else None
        element = Element(name.rpartition(" ")[2].replace("-", "_"), attributes, *self._place, parent=parent)
        if len(self._open) >= _DEEPEST:
            raise UnreadableXml(self._file, "is nested too deeply", "give the right one", *self._place)
        self._add(element)
        self._open.append(element)
        self.root = self.root or element

    def _end(self, name: str) -> None:  # noqa: ARG002
        self._open.pop()

    def _text(self, data: str) -> None:
        if self._in_cdata:
            if self._cdata is None:
                self._cdata = Node(CDATA, "")
                self._add(self._cdata)
            self._cdata.data += data
            return
        before = self._open[-1].nodes[-1:] if self._open else []
        if before and isinstance(before[0], Node) and before[0].kind == TEXT:
            # An empty CDATA section between two texts leaves no node.
            before[0].data += data
        else:
            self._add(Node(TEXT, data))

    def _start_cdata(self) -> None:
        self._in_cdata, self._cdata = True, None

    def _end_cdata(self) -> None:
        self._in_cdata, self._cdata = False, None

    def _refuse_doctype(self, *_arguments: object) -> None:
        # Where it begins is not reported; only where its name ends.
        before, _, _ = self._content.partition(b"<!DOCTYPE")
        place = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        problem = "has a document type declaration"
        raise UnreadableXml(self._file, problem, "remove it, no reader here needs one", *place)
