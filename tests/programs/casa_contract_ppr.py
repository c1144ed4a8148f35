"""How the contract CASA reads a PPR: in the strict form of the real reader, with what every trap of it does to a run.

A document is turned into plain values first: an element becomes the text that the reader would take, or a mapping of
what is in it; what is there several times becomes a list. What is looked for in a list, or in a text, is not found.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from xml.dom import minidom


class NotFoundError(Exception):
    """The reader finds nothing where it looks; where nothing else is said, the run ends with an ``errorexit``."""


@dataclass
class Request:
    """What the reader makes of a PPR; ``parameters`` has those of each stage."""

    title: Any
    stages: list[Any]
    parameters: list[dict[Any, Any]]
    identifiers: list[Any]
    relative_path: Any
    mous: str
    sessions: dict[Any, str]
    bytes: bytes
    printed: list[Any] = field(default_factory=list)

    def print_all(self) -> None:
        """Add to a text what the executor prints before its first stage; a number ends CASA with exit status 1."""
        "".join(["", *self.printed])


class _Found(dict[str, Any]):
    """An element: its children by name, its attributes, and its text if it has the one that counts."""

    def __init__(self, element: Any) -> None:
        super().__init__()
        self.attributes = dict(element.attributes.items()) if element.attributes else {}
        kinds = [child.nodeType for child in element.childNodes]
        self.text = element.firstChild.data if kinds == [element.TEXT_NODE] else None
        for child in element.childNodes:
            if child.nodeType != element.ELEMENT_NODE:
                continue
            name = child.tagName.split(":")[-1].replace("-", "_")
            if name in dir(element) or not name.isidentifier() or keyword.iskeyword(name):
                raise NotFoundError(f"an element cannot be called {name}")
            self.setdefault(name, []).append(_Found(child))
        if any(f"{name}_obj" in self for name in self):
            raise NotFoundError("two elements become one attribute")

    def at(self, *path: str) -> _Found:
        found = self
        for name in path:
            several = found.get(name, [])
            if len(several) != 1:
                raise NotFoundError(f"{len(several)} times {name}")
            found = several[0]
        return found

    def value(self, *path: str) -> Any:
        text = self.at(*path).text
        if text is None:
            raise NotFoundError(f"no text in {'/'.join(path)}")
        return _cast(text)


def _cast(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    truths = {"true": True, "false": False}
    return truths.get(text.lower(), text)


def read(path: Path, *, alma: bool = False) -> Request:
    """Read a PPR as the real reader does, traps included.

    Raises:
        NotFoundError: the reader can make nothing of it.
    """
    content = path.read_bytes()
    try:
        document = _Found(minidom.parseString(content))  # noqa: S318  what a test wrote
    except NotFoundError:
        raise
    except Exception as error:
        raise NotFoundError(f"no XML: {error}") from error
    root = document.at("SciPipeRequest")
    named = ("ProposalCode", "Observatory", "Telescope", *(() if alma else ("ProcessingSite", "Operator", "Mode")))
    printed = [root.value("ProjectSummary", name) for name in named]
    structure = _structure(root) if alma else {}
    request = _request(root, alma=alma)
    block = request.at("DataSet", *(("SchedBlockSet", "SchedBlockIdentifier") if alma else ()))
    relative_path = block.value("RelativePath")
    if not isinstance(relative_path, str):
        raise NotFoundError("the path is no text")
    intents = _pairs(request.at("ProcessingIntents").get("Intents", []))
    procedure = request.at("ProcessingProcedure")
    stages, parameters = _stages(procedure)
    identifiers = _asdms(block) if alma else [block.value("SdmIdentifier")]
    if not stages or not identifiers:
        raise NotFoundError("nothing to do")
    title = _or(procedure, "ProcedureTitle", "Undefined")
    sessions = _sessions(intents, printed) if alma else {}
    passed_over = {"breakpoint", *(("hifv_hanning",) if not alma and intents.get("SPECTRAL_MODE") else ())}
    run = [place for place, name in enumerate(stages) if name not in passed_over]
    return Request(
        title=title,
        stages=[stages[place] for place in run],
        parameters=[parameters[place] for place in run],
        identifiers=identifiers,
        relative_path=relative_path,
        mous=structure.get(("OUSStatusRef", "entityId"), ""),
        sessions=sessions,
        bytes=content,
        printed=[*printed, *structure.values(), *intents, *identifiers, title],
    )


def _or(found: _Found, name: str, otherwise: Any) -> Any:
    try:
        return found.value(name)
    except NotFoundError:
        return otherwise


def _request(root: _Found, *, alma: bool) -> _Found:
    requests = root.at("ProcessingRequests").get("ProcessingRequest", [])
    if alma and len(requests) > 1:
        for each in requests[:2]:
            each.value("DataSet", "SchedBlockSet", "SchedBlockIdentifier", "RelativePath")
        return requests[0]  # type: ignore[no-any-return]
    return root.at("ProcessingRequests", "ProcessingRequest")


def _structure(root: _Found) -> dict[Any, Any]:
    structure = root.at("ProjectStructure")
    try:
        structure.at("OUSStatusRef")
    except NotFoundError:
        structure = structure.at("AlmaStructure")
    found: dict[Any, Any] = {name: structure.value(name) for name in ("ObsUnitSetTitle", "ObsUnitSetType")}
    for name in ("ObsUnitSetRef", "ProjectStatusRef", "OUSStatusRef"):
        wanted = ("entityTypeName", "entityId", *(("partId",) if name == "ObsUnitSetRef" else ()))
        found |= {(name, each): _cast(structure.at(name).attributes.get(each, "")) for each in wanted}
    return found


def _pairs(elements: list[_Found]) -> dict[Any, Any]:
    pairs = {}
    for element in elements:
        try:
            keyword = element.value("Keyword")
        except NotFoundError:
            break
        pairs[keyword] = _or(element, "Value", "")
    return pairs


def _stages(procedure: _Found) -> tuple[list[Any], list[dict[Any, Any]]]:
    stages: list[Any] = []
    parameters: list[dict[Any, Any]] = []
    for command in procedure.get("ProcessingCommand", []):
        sets = command.get("ParameterSet", [])
        name = _or(command, "Command", None)
        if name is None or not sets:
            break
        stages.append(name)
        parameters.append(_pairs(sets[0].get("Parameter", [])) if len(sets) == 1 else {})
    return stages, parameters


def _asdms(block: _Found) -> list[Any]:
    names = []
    for asdm in block.get("AsdmIdentifier", []):
        try:
            names.append((asdm.value("AsdmDiskName"), asdm.value("AsdmRef", "ExecBlockId"))[0])
        except NotFoundError:
            break
    return names


def _sessions(intents: dict[Any, Any], printed: list[Any]) -> dict[Any, str]:
    """Return the session of each ASDM by its name on disk; a gap in their numbers drops the later ones."""
    sessions: dict[Any, str] = {}
    for number in takewhile(lambda number: f"SESSION_{number}" in intents, count(1)):
        members = intents[f"SESSION_{number}"]
        printed.append(members)
        for uid in members.split(" | ") if isinstance(members, str) else ():
            sessions.setdefault(uid.replace(":", "_").replace("/", "_"), f"session_{number}")
    return sessions
