"""The PPR, read as the observatory's pipeline reads it, silent traps included.

The file is a DOM, and a text counts only where it is the one node of its element, as it stands; then it is cast. One
command without a ``ParameterSet``, or whose ``Command`` has no such text, ends the list of commands without a word. So
does an ``AsdmIdentifier`` the list of ASDMs, and a ``Keyword`` the parameters or the intents. Zero or two
``SdmIdentifier`` give an empty list of SDMs. A gap in the numbers of ``SESSION_1``, ``SESSION_2`` and so on ends the
sessions. Namespaces are ignored, and of a keyword that is repeated the last wins. Whoever writes a PPR checks it
elsewhere: this reader must not be better than the real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from keyword import iskeyword
from pathlib import Path
from typing import Any
from xml.dom import Node, minidom

# Which nodes these are is looked at when they are used; the types of the DOM do not know it.
Element = Any

_SUMMARY = ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode")
# ALMA's reader looks at fewer facts of the project, and at all of these of its structure.
_ALMA_SUMMARY = ("ProposalCode", "Observatory", "Telescope")
_STRUCTURE_ATTRIBUTES = (
    *(("ObsUnitSetRef", attribute) for attribute in ("entityTypeName", "entityId", "partId")),
    *((name, at) for name in ("ProjectStatusRef", "OUSStatusRef") for at in ("entityTypeName", "entityId")),
)
_STRUCTURE_TEXTS = ("ObsUnitSetTitle", "ObsUnitSetType")
_BLOCK = ("SchedBlockSet", "SchedBlockIdentifier")
_ONE_PATH, _ASDM_PATH = ("DataSet", "RelativePath"), ("DataSet", *_BLOCK, "RelativePath")
#: The session of an ASDM that the intents name in none.
DEFAULT_SESSION = "session_1"
#: A command that the executor passes over.
BREAKPOINT = "breakpoint"


class UndecodableRequestError(Exception):
    """The file is not a PPR that the pipeline can make anything of."""


@dataclass(frozen=True)
class Command:
    """One stage as the PPR asks for it.

    Attributes:
        task: the name of the task, for example ``hifv_flagdata``; a name that looks like a number is one.
        parameters: its parameters, cast to Python's types, keywords too.
    """

    task: Any
    parameters: dict[Any, object]


@dataclass(frozen=True)
class ProcessingRequest:
    """What the pipeline takes out of a PPR.

    Attributes:
        path: the file.
        proposal_code: the project.
        procedure: the title of the recipe, for example ``hifv``.
        relative_path: the run's directory below the root.
        sdms: the SDMs to process, by their directories' names, at least one.
        commands: the stages, up to the first that the reader cannot make out, at least one.
        ous: ALMA's MOUS, for example ``uid://A001/X1288/X3f``; empty for the VLA.
        sessions: the session of each SDM.
        hanning: whether ``hifv_hanning`` is run; ``SPECTRAL_MODE`` among the intents leaves it out.
    """

    path: Path
    proposal_code: str
    procedure: str
    relative_path: str
    sdms: tuple[str, ...]
    commands: tuple[Command, ...]
    ous: str = ""
    sessions: Mapping[str, str] = field(default_factory=dict)
    hanning: bool = True


def on_disk(uid: str) -> str:
    """Return a UID as ALMA writes it on disk: ``uid___A001_X1288_X3f``."""
    return uid.replace(":", "_").replace("/", "_")


def read_processing_request(path: Path) -> ProcessingRequest:
    """Read a VLA PPR.

    Args:
        path: the file.

    Raises:
        UndecodableRequestError: the file cannot be read, is not XML, lacks what every PPR has, or names no SDM or no
            command; the executor leaves an ``errorexit`` and ends in order.
        TypeError: a text that the executor prints is a number or a truth value; nothing catches it.
    """
    root = _parse(path)
    summary = [_text(root, "ProjectSummary", name) for name in _SUMMARY]
    request = _one(root, "ProcessingRequests", "ProcessingRequest")
    relative_path = _relative_path(request, *_ONE_PATH)
    intents = dict(_pairs(_one(request, "ProcessingIntents"), "Intents"))
    try:
        sdms = (_text(request, "DataSet", "SdmIdentifier"),)
    except UndecodableRequestError as error:
        raise UndecodableRequestError(f"Empty SDM list: {error}") from error
    title, commands = _procedure(request)
    _print(*summary, *intents, *sdms, title)
    return ProcessingRequest(
        path=path,
        proposal_code=str(summary[0]),
        procedure=title,
        relative_path=relative_path,
        sdms=sdms,
        commands=commands,
        hanning=not intents.get("SPECTRAL_MODE"),
    )


def read_alma_request(path: Path) -> ProcessingRequest:
    """Read an ALMA PPR.

    Args:
        path: the file.

    Raises:
        UndecodableRequestError: see :func:`read_processing_request`.
        TypeError: likewise.
    """
    root = _parse(path)
    summary = [_text(root, "ProjectSummary", name) for name in _ALMA_SUMMARY]
    structure = _structure(root)
    request = _alma_processing_request(root)
    relative_path = _relative_path(request, *_ASDM_PATH)
    intents = dict(_pairs(_one(request, "ProcessingIntents"), "Intents"))
    sdms = tuple(_asdms(_one(request, "DataSet", *_BLOCK)))
    if not sdms:
        raise UndecodableRequestError("Empty ASDM list")
    title, commands = _procedure(request)
    _print(*summary, *structure.values(), *intents)
    sessions = _sessions(intents, sdms)
    _print(*sdms, title)
    return ProcessingRequest(
        path=path,
        proposal_code=str(summary[0]),
        procedure=title,
        relative_path=relative_path,
        sdms=sdms,
        commands=commands,
        ous=str(structure["OUSStatusRef", "entityId"]),
        sessions=sessions,
    )


def cast(text: str) -> Any:  # noqa: ANN401  of the type that it looks like
    """Return a text in the type that it looks like: integer, float, truth value, or else text.

    ``016`` becomes 16, ``TRUE`` true, and ``None`` stays the text ``None``.
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.lower() == "true" if text.lower() in {"true", "false"} else text


# --- the document --------------------------------------------------------------------------------------------------


def _parse(path: Path) -> Element:
    try:
        root: Element = minidom.parse(str(path)).documentElement  # noqa: S318  the account that runs this has staged it itself
    except Exception as error:  # whatever a parser may raise
        raise UndecodableRequestError(f"{path}: {error}") from error
    root.normalize()
    _look_for_attributes(root)
    if _name(root) != "SciPipeRequest":
        raise UndecodableRequestError(f"{path}: the root is {_name(root)}")
    return root


def _look_for_attributes(element: Element) -> None:
    """The real reader makes attributes of each child, and fails if the DOM's object has one or Python could not."""
    names = {_name(child) for child in _children(element)}
    for child in _children(element):
        name = _name(child)
        if hasattr(element, name) or not name.isidentifier() or iskeyword(name) or f"{name}_obj" in names:
            raise UndecodableRequestError(f"a child of {element.nodeName} cannot be called {child.nodeName}")
        _look_for_attributes(child)


def _name(element: Element) -> str:
    return str(element.nodeName).rpartition(":")[2].replace("-", "_")


def _children(element: Element, name: str = "") -> list[Element]:
    nodes = [node for node in element.childNodes if node.nodeType == Node.ELEMENT_NODE]
    return [node for node in nodes if not name or _name(node) == name]


def _one(parent: Element, *path: str) -> Element:
    for name in path:
        found = _children(parent, name)
        if len(found) != 1:
            raise UndecodableRequestError(f"there must be one {name} in {parent.nodeName}, there are {len(found)}")
        (parent,) = found
    return parent


def _text(parent: Element, *path: str) -> Any:  # noqa: ANN401  what it is cast to
    element = _one(parent, *path)
    if [node.nodeType for node in element.childNodes] != [Node.TEXT_NODE]:
        raise UndecodableRequestError(f"{element.nodeName} in {element.parentNode.nodeName} has no text, or more")
    return cast(element.childNodes[0].data)


def _has_text(parent: Element, *path: str) -> bool:
    try:
        _text(parent, *path)
    except UndecodableRequestError:
        return False
    return True


# --- its parts -----------------------------------------------------------------------------------------------------


def _alma_processing_request(root: Element) -> Element:
    requests = _children(_one(root, "ProcessingRequests"), "ProcessingRequest")
    if len(requests) > 1 and all(_has_text(request, *_ASDM_PATH) for request in requests[:2]):
        return requests[0]
    return _one(root, "ProcessingRequests", "ProcessingRequest")


def _relative_path(request: Element, *path: str) -> str:
    relative_path = _text(request, *path)
    if not isinstance(relative_path, str):
        raise UndecodableRequestError(f"the relative path is {relative_path!r}, which cannot be joined to others")
    return relative_path


def _structure(root: Element) -> dict[Any, object]:
    """Older PPRs have their structure one level deeper, in ``AlmaStructure``."""
    structure = _one(root, "ProjectStructure")
    if len(_children(structure, "OUSStatusRef")) != 1:
        structure = _one(structure, "AlmaStructure")
    found: dict[Any, object] = {
        (name, at): cast(_one(structure, name).getAttribute(at)) for name, at in _STRUCTURE_ATTRIBUTES
    }
    return found | {name: _text(structure, name) for name in _STRUCTURE_TEXTS}


def _procedure(request: Element) -> tuple[Any, tuple[Command, ...]]:
    procedure = _one(request, "ProcessingProcedure")
    commands = tuple(_commands(procedure))
    if not commands:
        raise UndecodableRequestError("Empty commands list")
    return _text(procedure, "ProcedureTitle") if _has_text(procedure, "ProcedureTitle") else "Undefined", commands


def _commands(procedure: Element) -> Iterator[Command]:
    for element in _children(procedure, "ProcessingCommand"):
        sets = _children(element, "ParameterSet")
        if not sets or not _has_text(element, "Command"):
            return  # the trap: this one and every later one are gone
        # A list of two sets has no parameters.
        yield Command(_text(element, "Command"), dict(_pairs(sets[0], "Parameter")) if len(sets) == 1 else {})


def _pairs(parent: Element, name: str) -> Iterator[tuple[Any, object]]:
    for element in _children(parent, name):
        if not _has_text(element, "Keyword"):
            return  # likewise
        yield _text(element, "Keyword"), _text(element, "Value") if _has_text(element, "Value") else ""


def _asdms(block: Element) -> Iterator[Any]:
    for element in _children(block, "AsdmIdentifier"):
        if not _has_text(element, "AsdmDiskName") or not _has_text(element, "AsdmRef", "ExecBlockId"):
            return  # likewise
        yield _text(element, "AsdmDiskName")


def _sessions(intents: Mapping[Any, Any], sdms: tuple[Any, ...]) -> dict[str, str]:
    sessions: dict[str, str] = {}
    for number in count(1):
        if f"SESSION_{number}" not in intents:
            break  # the trap: after a gap, every later one is gone
        members = intents[f"SESSION_{number}"]
        _print(members)
        for uid in members.split(" | "):
            sessions.setdefault(on_disk(uid), f"session_{number}")
    return {sdm: sessions.get(_bare(sdm), DEFAULT_SESSION) for sdm in map(str, sdms)}


def _bare(name: str) -> str:
    for ending in ("_target.ms", "_targets.ms", ".ms"):
        if name.endswith(ending):
            return _bare(name.removesuffix(ending))
    return name


def _print(*values: object) -> None:
    """The real executor prints each behind a text, which only texts can be added to."""
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f'can only concatenate str (not "{type(value).__name__}") to str: {value!r}')
