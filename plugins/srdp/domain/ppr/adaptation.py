"""Adapt a PPR to the files submitted with it, on request.

Only what :func:`srdp.domain.ppr.stage_problems.stage_problems` can fix is done: a stage added or taken away,
or a parameter given. Everything else stays byte for byte, so that comments, blanks and whatever an analyst has edited
are what they were, and the difference shows nothing but the fix.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from srdp.domain.ppr.inputs import PipelineInputs
from srdp.domain.ppr.stage_problems import (
    AddParameter,
    AddStage,
    Edit,
    RemoveStage,
    Stage,
    as_xml,
    parameter_as_xml,
    stage_problems,
)

_COMMAND: Final = ("SciPipeRequest", "ProcessingRequests", "ProcessingRequest", "ProcessingProcedure")
_BLANKS: Final = b" \t"
# An edit fixes one problem and makes none; a PPR of a thousand cubes may need one for each.
_MOST_EDITS: Final = 5000


@dataclass(frozen=True)
class Adaptation:
    """A PPR that was adapted.

    Attributes:
        content: its bytes.
        difference: the unified difference from what was given, one line each.
    """

    content: bytes
    difference: tuple[str, ...]


def adapted(content: bytes, inputs: PipelineInputs, given: Collection[str]) -> Adaptation | None:
    """Return a PPR in which the stages go with the files that are given, as far as that follows from the tables.

    Args:
        content: the PPR's bytes.
        inputs: which stage reads which file.
        given: the files that are given with it, by the names that people use.

    Returns:
        The PPR; None if there is nothing to adapt, or if the document cannot be read or is not in UTF-8, which the
        linter reports.
    """
    changed = content
    for _ in range(_MOST_EDITS):
        document = _read(changed)
        if document is None:
            break
        stages = [_stage(command) for command in document]
        edits = next((each.edits for each in stage_problems(inputs, stages, given) if each.edits), ())
        if not edits:
            break
        changed = _edited(changed, document, edits)
    if changed == content:
        return None
    return Adaptation(changed, difference(content, changed))


def difference(before: bytes, after: bytes) -> tuple[str, ...]:
    """Return the unified difference of two PPRs, one line each.

    Args:
        before: the bytes of the one that was given.
        after: the bytes of the one that was adapted.
    """
    former, now = (each.decode("utf-8", errors="replace").splitlines() for each in (before, after))
    return tuple(difflib.unified_diff(former, now, fromfile="PPR as given", tofile="PPR as adapted", lineterm="", n=1))


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass
class _Element:
    """An element with its place.

    Attributes:
        name: its name without namespace.
        start: where it begins, in bytes.
        stop: where what follows it begins.
        content_stop: where its end tag begins; its own end if it has none.
        text: what it says, without blanks around it.
        children: the elements in it.
    """

    name: str
    start: int
    stop: int = 0
    content_stop: int = 0
    text: str = ""
    children: list[_Element] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether it is written as one tag, such as ``<ParameterSet/>``."""
        return self.content_stop == self.stop

    def find(self, name: str) -> _Element | None:
        """Return the first child of a name."""
        return next((child for child in self.children if child.name == name), None)


def _read(content: bytes) -> list[_Element] | None:
    """Return the ``ProcessingCommand`` elements of a PPR; None if it is no document that could be edited."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    top = _Element("", 0)
    if not _parse(content, top):
        return None
    place: _Element | None = top
    for name in _COMMAND:
        place = place and place.find(name)
    return [child for child in place.children if child.name == "ProcessingCommand"] if place else []


def _parse(content: bytes, top: _Element) -> bool:
    """Put the elements of a document below one; return whether it could be read and may be edited."""
    parser = expat.ParserCreate()
    opened = [top]
    encodings: list[str | None] = []

    def start(name: str, _: Mapping[str, str]) -> None:
        element = _Element(name.rpartition(":")[2], parser.CurrentByteIndex)
        opened[-1].children.append(element)
        opened.append(element)

    def end(_: str) -> None:
        element = opened.pop()
        index = parser.CurrentByteIndex
        # Of an element that is one tag, expat reports its end where what follows begins.
        written = content[element.start : index]
        one_tag = not element.children and not element.text and b"</" not in written and written.endswith(b"/>")
        element.content_stop = index
        element.stop = index if one_tag else content.index(b">", index) + 1
        element.text = element.text.strip()

    def text(data: str) -> None:
        opened[-1].text += data

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.XmlDeclHandler = lambda _, encoding, __: encodings.append(encoding)
    # As the readers: what has a document type is refused before it could expand anything.
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content, True)  # noqa: FBT003  expat takes no keyword
    except (expat.ExpatError, LookupError, ValueError):
        return False
    # Offsets are in the bytes that were given, if these are what expat reads.
    return all((encoding or "utf-8").lower() in {"utf-8", "us-ascii"} for encoding in encodings)


def _refuse(*_: object) -> None:
    raise ValueError("there is a document type")


def _stage(command: _Element) -> Stage:
    parameter_set = command.find("ParameterSet")
    named = [child for child in parameter_set.children if child.name == "Parameter"] if parameter_set else []
    parameters = {_text(each.find("Keyword")): _text(each.find("Value")) for each in named}
    return Stage(_text(command.find("Command")), parameters)


def _text(element: _Element | None) -> str:
    return element.text if element else ""


# --- editing --------------------------------------------------------------------------------------------------------


def _edited(content: bytes, commands: list[_Element], edits: Collection[Edit]) -> bytes:
    """Apply edits of one problem, the last place first, so that those before stay where they are."""
    pieces: list[tuple[int, int, bytes]] = []
    for edit in edits:
        if isinstance(edit, RemoveStage):
            pieces.append((*_lines_of(content, commands[edit.place]), b""))
        elif isinstance(edit, AddStage):
            behind = commands[edit.behind]
            pieces.append((behind.stop, behind.stop, _indent_of(content, behind) + as_xml(edit.stage).encode()))
        else:
            pieces.append(_with_parameter(content, commands[edit.place], edit))
    for start, stop, piece in sorted(pieces, reverse=True):
        content = content[:start] + piece + content[stop:]
    return content


def _with_parameter(content: bytes, command: _Element, edit: AddParameter) -> tuple[int, int, bytes]:
    parameter = parameter_as_xml(edit.keyword, edit.value).encode()
    parameter_set = command.find("ParameterSet")
    if parameter_set is None:
        return command.content_stop, command.content_stop, b"<ParameterSet>" + parameter + b"</ParameterSet>"
    if parameter_set.is_empty:
        # With the prefix and the attributes that it has.
        tag = content[parameter_set.start : parameter_set.stop].removesuffix(b"/>").rstrip()
        name = tag[1:].split()[0]
        return parameter_set.start, parameter_set.stop, tag + b">" + parameter + b"</" + name + b">"
    if parameter_set.children:
        first = parameter_set.children[0]
        return first.start, first.start, parameter + _indent_of(content, first)
    return parameter_set.content_stop, parameter_set.content_stop, parameter


def _indent_of(content: bytes, element: _Element) -> bytes:
    """Return the end of line and the blanks before an element that begins its line; nothing if it does not."""
    line = content.rfind(b"\n", 0, element.start) + 1
    before = content[line : element.start]
    if before.strip(_BLANKS) or not line:
        return b""
    return (b"\r\n" if content[:line].endswith(b"\r\n") else b"\n") + before


def _lines_of(content: bytes, element: _Element) -> tuple[int, int]:
    """Return the place of an element: with its whole lines if it has them for itself."""
    indent = _indent_of(content, element)
    rest = content[element.stop :].lstrip(_BLANKS)
    if indent and rest.startswith((b"\n", b"\r\n")):
        return element.start - len(indent), len(content) - len(rest)
    return element.start, element.stop
