"""The PPR, read as the observatory's pipeline reads it, silent traps included.

One command without a ``ParameterSet``, or with an empty ``Command``, ends the list of commands without a word. Zero or
two ``SdmIdentifier`` give an empty list of SDMs. An ``AsdmIdentifier`` that lacks its name or its UID ends the list of
ASDMs. A gap in the numbers of ``SESSION_1``, ``SESSION_2`` and so on ends the sessions. Namespaces are ignored, values
are cast, and of a keyword that is repeated the last wins. Whoever writes a PPR checks it elsewhere: this reader
must not be better than the real one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

_REQUIRED_SUMMARY = ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode")
_REQUIRED_REQUEST = ("ProcessingIntents", "ProcessingProcedure", "DataSet")
# ALMA's reader looks at fewer facts of the project, and at all of these of its structure, before it looks at the MOUS.
_REQUIRED_ALMA_SUMMARY = ("ProposalCode", "Observatory", "Telescope")
_REQUIRED_STRUCTURE = ("ObsUnitSetRef", "ProjectStatusRef")
_REQUIRED_STRUCTURE_TEXTS = ("ObsUnitSetTitle", "ObsUnitSetType")
#: The session of an ASDM that the intents name in none.
DEFAULT_SESSION = "session_1"


class UndecodableRequestError(Exception):
    """The file is not a PPR that the pipeline can make anything of."""


@dataclass(frozen=True)
class Command:
    """One stage as the PPR asks for it.

    Attributes:
        task: the name of the task, for example ``hifv_flagdata``.
        parameters: its parameters, cast to Python's types.
    """

    task: str
    parameters: dict[str, object]


@dataclass(frozen=True)
class ProcessingRequest:
    """What the pipeline takes out of a PPR.

    Attributes:
        path: the file.
        proposal_code: the project.
        procedure: the title of the recipe, for example ``hifv``.
        relative_path: the run's directory below the root; may be empty.
        sdms: the SDMs to process, by their directories' names. VLA: one, or none if the PPR does not name exactly one.
        commands: the stages, up to the first that the reader cannot make out.
        ous: ALMA's MOUS, for example ``uid://A001/X1288/X3f``; empty for the VLA.
        sessions: the session of each SDM.
    """

    path: Path
    proposal_code: str
    procedure: str
    relative_path: str
    sdms: tuple[str, ...]
    commands: tuple[Command, ...]
    ous: str = ""
    sessions: Mapping[str, str] = field(default_factory=dict)


def on_disk(uid: str) -> str:
    """Returns a UID as ALMA writes it on disk: ``uid___A001_X1288_X3f``."""
    return uid.replace(":", "_").replace("/", "_")


def read_processing_request(path: Path) -> ProcessingRequest:
    """Reads a VLA PPR.

    Args:
        path: the file.

    Raises:
        UndecodableRequestError: the file cannot be read, is not XML, or lacks an element that every PPR has.
    """
    root = _parse(path)
    summary = _required(root, "ProjectSummary")
    for name in _REQUIRED_SUMMARY:
        _required(summary, name)
    request = _required(root, "ProcessingRequests/ProcessingRequest")
    for name in _REQUIRED_REQUEST:
        _required(request, name)
    data_set = _required(request, "DataSet")
    sdms = tuple(text for text in (_text(element) for element in data_set.findall("SdmIdentifier")) if text)
    procedure = _required(request, "ProcessingProcedure")
    return ProcessingRequest(
        path=path,
        proposal_code=_text(summary.find("ProposalCode")),
        procedure=_title(procedure),
        relative_path=_text(_required(data_set, "RelativePath")),
        sdms=sdms if len(sdms) == 1 else (),
        commands=tuple(_commands(procedure)),
    )


def read_alma_request(path: Path) -> ProcessingRequest:
    """Reads an ALMA PPR.

    Args:
        path: the file.

    Raises:
        UndecodableRequestError: the file cannot be read, is not XML, or lacks an element that every PPR has.
    """
    root = _parse(path)
    summary = _required(root, "ProjectSummary")
    for name in _REQUIRED_ALMA_SUMMARY:
        _required_text(summary, name)
    ous = _member(_required(root, "ProjectStructure"))
    request = _required(root, "ProcessingRequests/ProcessingRequest")
    for name in _REQUIRED_REQUEST:
        _required(request, name)
    procedure = _required(request, "ProcessingProcedure")
    blocks = _required(request, "DataSet/SchedBlockSet").findall("SchedBlockIdentifier")
    if len(blocks) != 1:
        raise UndecodableRequestError(
            f"there must be one SchedBlockIdentifier in SchedBlockSet, there are {len(blocks)}"
        )
    (block,) = blocks
    sdms = tuple(_asdms(block))
    return ProcessingRequest(
        path=path,
        proposal_code=_text(summary.find("ProposalCode")),
        procedure=_title(procedure),
        relative_path=_text(_required(block, "RelativePath")),
        sdms=sdms,
        commands=tuple(_commands(procedure)),
        ous=ous,
        sessions=_sessions(_required(request, "ProcessingIntents"), sdms),
    )


def _parse(path: Path) -> ET.Element:
    try:
        root = ET.parse(path).getroot()  # noqa: S314  the account that runs this has staged the file itself
    except (OSError, ET.ParseError) as error:
        raise UndecodableRequestError(f"{path}: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _member(structure: ET.Element) -> str:
    """Returns the MOUS. Older PPRs have their structure one level deeper, in ``AlmaStructure``."""
    if structure.find("OUSStatusRef") is None:
        structure = _required(structure, "AlmaStructure")
    for name in _REQUIRED_STRUCTURE:
        _required(structure, name)
    for name in _REQUIRED_STRUCTURE_TEXTS:
        _required_text(structure, name)
    ous = _required(structure, "OUSStatusRef").get("entityId", "").strip()
    if not ous:
        raise UndecodableRequestError("OUSStatusRef has no entityId: the member observing unit set is not known")
    return ous


def _title(procedure: ET.Element) -> str:
    return _text(procedure.find("ProcedureTitle")) or "Undefined"


def _asdms(block: ET.Element) -> Iterator[str]:
    for element in block.findall("AsdmIdentifier"):
        name, uid = _text(element.find("AsdmDiskName")), _text(element.find("AsdmRef/ExecBlockId"))
        if not name or not uid:
            return  # the trap: this one and every later one are gone
        yield name


def _sessions(intents: ET.Element, sdms: tuple[str, ...]) -> dict[str, str]:
    said = {_text(intent.find("Keyword")): _text(intent.find("Value")) for intent in intents.findall("Intents")}
    sessions = dict.fromkeys(sdms, DEFAULT_SESSION)
    for number in count(1):
        if f"SESSION_{number}" not in said:
            return sessions  # the trap: after a gap, every later one is gone
        for uid in said[f"SESSION_{number}"].split(" | "):
            if on_disk(uid.strip()) in sessions:
                sessions[on_disk(uid.strip())] = f"session_{number}"
    raise AssertionError("count() has no end")


def _required(parent: ET.Element, name: str) -> ET.Element:
    element = parent.find(name)
    if element is None:
        raise UndecodableRequestError(f"there is no {name} in {parent.tag}")
    return element


def _required_text(parent: ET.Element, name: str) -> None:
    if not _text(_required(parent, name)):
        raise UndecodableRequestError(f"{name} in {parent.tag} is empty")


def _text(element: ET.Element | None) -> str:
    return "" if element is None or element.text is None else element.text.strip()


def _commands(procedure: ET.Element) -> Iterator[Command]:
    for element in procedure.findall("ProcessingCommand"):
        task = _text(element.find("Command"))
        parameter_set = element.find("ParameterSet")
        if not task or parameter_set is None:
            return  # the trap: this one and every later one are gone
        yield Command(task, dict(_parameters(parameter_set)))


def _parameters(parameter_set: ET.Element) -> Iterator[tuple[str, object]]:
    for parameter in parameter_set.findall("Parameter"):
        keyword = _text(parameter.find("Keyword"))
        if keyword:
            yield keyword, cast(_text(parameter.find("Value")))


def cast(text: str) -> object:
    """Returns a parameter's value in the type that it looks like: integer, float, truth value, list, or else text.

    ``016`` becomes 16, and ``None`` stays the text ``None``.
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text in {"True", "False"}:
        return text == "True"
    if text[:1] in {"[", "(", "{"}:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
    return text
