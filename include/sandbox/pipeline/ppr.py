"""The PPR, read as the observatory's pipeline reads it, silent traps included.

One command without a ``ParameterSet``, or with an empty ``Command``, ends the list of commands without a word. Zero or
two ``SdmIdentifier`` give an empty list of SDMs. Namespaces are ignored, values are cast, and of a keyword that is
repeated the last wins. Whoever writes a PPR checks it elsewhere: this reader must not be better than the real one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

_REQUIRED_SUMMARY = ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode")
_REQUIRED_REQUEST = ("ProcessingIntents", "ProcessingProcedure", "DataSet")


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
        sdms: the SDMs to process: one, or none if the PPR does not name exactly one.
        commands: the stages, up to the first that the reader cannot make out.
    """

    path: Path
    proposal_code: str
    procedure: str
    relative_path: str
    sdms: tuple[str, ...]
    commands: tuple[Command, ...]


def read_processing_request(path: Path) -> ProcessingRequest:
    """Reads a VLA PPR.

    Args:
        path: the file.

    Raises:
        UndecodableRequestError: the file cannot be read, is not XML, or lacks an element that every PPR has.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314  the account that runs this has staged the file itself
    except (OSError, ET.ParseError) as error:
        raise UndecodableRequestError(f"{path}: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
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
        procedure=_text(procedure.find("ProcedureTitle")) or "Undefined",
        relative_path=_text(_required(data_set, "RelativePath")),
        sdms=sdms if len(sdms) == 1 else (),
        commands=tuple(_commands(procedure)),
    )


def _required(parent: ET.Element, name: str) -> ET.Element:
    element = parent.find(name)
    if element is None:
        raise UndecodableRequestError(f"there is no {name} in {parent.tag}")
    return element


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
