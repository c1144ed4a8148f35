"""What the CASA pipeline reads in a pipeline processing request (PPR): exactly that, traps included.

The model follows ``executeppr.py`` (ALMA), ``executevlappr.py`` (VLA) and ``XmlObjectifier.py`` of the pipeline's 2026
release. Their rules:

* an element that is there once is that element, one that is there several times is a list, and a list has no children
  and no text. What is looked for there is not found;
* a text is taken only if it is the one node in its element, as it stands, blanks included; then it is cast to an
  integer, a float or a truth value if Python can. An attribute is cast too;
* what is not found in a list of commands, parameters, ASDMs or intents ends the list there, in silence. What is not
  found elsewhere ends the pipeline with an ``errorexit`` file and exit status 0;
* a number or a truth value where the executor wants a text ends it before the first stage with a ``TypeError``, exit
  status 1 and no ``errorexit``.

Nothing here judges: see :mod:`srdp.domain.ppr.lint`.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile
from xml.dom import minidom

from srdp.domain.common.pipeline_values import Value, cast_text
from srdp.domain.ppr.markup import TEXT, Element, Node

SCHED_BLOCK = "DataSet/SchedBlockSet/SchedBlockIdentifier"
#: What separates the ASDMs of a session.
BETWEEN_UIDS = " | "
DEFAULT_SESSION = "session_1"
BREAKPOINT = "breakpoint"
SPECTRAL_MODE, HANNING = "SPECTRAL_MODE", "hifv_hanning"
#: Of these the executor itself says which data they take, whatever the PPR says.
TAKES_DATA = frozenset(
    f"{prefix}_{what}data" for prefix in ("h", "hifa", "hifv", "hsd", "hsdn") for what in ("import", "restore")
)
#: The parameters by which it does.
DATA_PARAMETERS = frozenset({"vis", "session"})

#: What the reader takes of the summary.
SUMMARY_OF_VLA = ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode")
#: ALMA's reads fewer of them.
SUMMARY_OF_ALMA = SUMMARY_OF_VLA[:3]
_OF_REFERENCE = ("entityTypeName", "entityId")
#: The elements of ALMA's structure that have attributes, and those that have a text.
REFERENCES = {
    "ObsUnitSetRef": (*_OF_REFERENCE, "partId"),
    "ProjectStatusRef": _OF_REFERENCE,
    "OUSStatusRef": _OF_REFERENCE,
}
TITLES = ("ObsUnitSetTitle", "ObsUnitSetType")
# The reader makes attributes of child elements, on objects of the DOM that have attributes of their own.
_TAKEN_NAMES = frozenset({*dir(minidom.Element("x")), "getValue", "setValue"})
_ENDINGS_OF_SETS = ("_target.ms", "_targets.ms", ".ms")


class RequestRefused(Exception):
    """The pipeline can make nothing of the PPR: it ends before the first stage, and no product is made.

    Attributes:
        element: where.
        exit_code: what CASA exits with. With 0 there is an ``errorexit`` file, with 1 there is none.
    """

    def __init__(self, element: Element, why: str, exit_code: int = 0) -> None:
        super().__init__(why)
        self.element = element
        self.exit_code = exit_code


@dataclass(frozen=True)
class Command:
    """A stage.

    Attributes:
        name: the name of its task.
        parameters: what it is called with; of a repeated keyword the last wins.
        element: where it stands.
    """

    name: Value
    parameters: Mapping[Value, Value]
    element: Element


@dataclass(frozen=True)
class DataSet:
    """What one observation is called.

    Attributes:
        disk_name: the directory in ``rawdata/``.
        uid: the UID of an ASDM; the VLA's is the directory's name.
        session: what its calibration is grouped by, for example ``session_1``.
    """

    disk_name: Value
    uid: Value
    session: str = DEFAULT_SESSION


@dataclass(frozen=True)
class Reading:
    """What the executor knows of a PPR before its first stage.

    Attributes:
        procedure: the title of the recipe.
        commands: the stages that it read, up to the first that it could not make out.
        relative_path: the run's directory below the root.
        data_sets: the observations, up to the first that it could not make out.
        intents: keyword -> value.
        summary: what the summary says, by the element's name.
        mous: what the MOUS is called; empty for the VLA.
        hanning: whether ``hifv_hanning`` is run.
    """

    procedure: Value
    commands: tuple[Command, ...]
    relative_path: Value
    data_sets: tuple[DataSet, ...]
    intents: Mapping[Value, Value]
    summary: Mapping[str, Value]
    mous: Value = ""
    hanning: bool = True

    @property
    def stages(self) -> tuple[Command, ...]:
        """The commands that are run: ``breakpoint`` is passed over, and ``SPECTRAL_MODE`` leaves Hanning out."""
        left_out = {BREAKPOINT} if self.hanning else {BREAKPOINT, HANNING}
        return tuple(command for command in self.commands if command.name not in left_out)


def is_alma(root: Element) -> bool:
    """Return whether a PPR names its data as ALMA's do, so that it is ALMA's executor that can read it."""
    requests = root.findall("ProcessingRequests/ProcessingRequest")
    return any(request.find("DataSet/SchedBlockSet") is not None for request in requests)


def read_ppr(root: Element, *, alma: bool) -> Reading:
    """Read a PPR as the executor of a telescope does.

    Args:
        root: see :func:`srdp.domain.ppr.markup.parse_ppr`.
        alma: whether ALMA's executor reads it, else the VLA's does.

    Raises:
        RequestRefused: it ends before its first stage.
    """
    for element in root.iter():
        _check_names(element)
    block = SCHED_BLOCK if alma else "DataSet"
    request = _first_request(root, block, alma=alma)
    summary = {
        name: _required(root, f"ProjectSummary/{name}") for name in (SUMMARY_OF_ALMA if alma else SUMMARY_OF_VLA)
    }
    structure = _structure(root) if alma else {}
    intents = _intents(_one(request, "ProcessingIntents"))
    procedure = _one(request, "ProcessingProcedure")
    relative_path = _required(request, f"{block}/RelativePath")
    if not isinstance(relative_path, str):
        raise RequestRefused(_one(request, f"{block}/RelativePath"), "its RelativePath is read as a number")
    place = _one(request, block)
    named = tuple(_asdms(place)) if alma else tuple(_sdms(place))
    commands = tuple(_commands(procedure))
    if not named:
        raise RequestRefused(place, "its list of data sets is empty")
    if not commands:
        raise RequestRefused(procedure, "its list of commands is empty")
    reading = Reading(
        procedure=_title(procedure),
        commands=commands,
        relative_path=relative_path,
        data_sets=named,
        intents=intents,
        summary=summary,
        mous=structure.get("OUSStatusRef/entityId", ""),
        hanning=alma or not intents.get(SPECTRAL_MODE, False),
    )
    _check_texts(root, request, [*summary.values(), *structure.values(), reading.procedure], reading)
    return _with_sessions(reading, request) if alma else reading


def value_of(element: Element) -> Value | None:
    """Return an element's text as the reader takes it, or None if it cannot: not exactly one node, or no text."""
    if len(element.nodes) != 1:
        return None
    node = element.nodes[0]
    return cast_text(node.data) if isinstance(node, Node) and node.kind == TEXT else None


def leaf(parent: Element, path: str) -> Value | None:
    """Return the text at a path, or None if the reader cannot take it: not there, there twice, or no plain text."""
    element = parent
    for tag in path.split("/"):
        found = element.children(tag)
        if len(found) != 1:
            return None
        element = found[0]
    return value_of(element)


# --- parts of a PPR -----------------------------------------------------------------------------------------------


def _check_names(element: Element) -> None:
    """The reader makes each child an attribute of its parent, and looks at it by evaluating its name."""
    tags = {child.tag for child in element.children()}
    for child in element.children():
        name = child.tag
        usable = name.isidentifier() and not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
        if not usable or name in _TAKEN_NAMES or f"{name}_obj" in tags:
            raise RequestRefused(child, f"its reader cannot handle an element called {name}")


def _one(parent: Element, path: str) -> Element:
    element = parent
    for tag in path.split("/"):
        found = element.children(tag)
        if not found:
            raise RequestRefused(element, f"there is no {tag} in its {element.tag}")
        if len(found) > 1:
            raise RequestRefused(found[1], f"there is more than one {tag} in its {element.tag}")
        element = found[0]
    return element


def _required(parent: Element, path: str) -> Value:
    element = _one(parent, path)
    value = value_of(element)
    if value is None:
        raise RequestRefused(element, f"its {element.tag} is empty, or not one plain text")
    return value


def _first_request(root: Element, block: str, *, alma: bool) -> Element:
    requests = _one(root, "ProcessingRequests").children("ProcessingRequest")
    if len(requests) > 1:
        # The executor counts those in which it finds a path, and takes the first of several; but for one it looks
        # where there is no list, and the VLA's finds no path where there are several.
        counted = list(takewhile(lambda each: leaf(each, f"{block}/RelativePath") is not None, requests))
        if not alma or len(counted) < 2:
            raise RequestRefused(requests[1], "there is more than one ProcessingRequest")
        return requests[0]
    request = _one(root, "ProcessingRequests/ProcessingRequest")
    _required(request, f"{block}/RelativePath")
    return request


def _structure(root: Element) -> dict[str, Value]:
    """ALMA's project structure; older PPRs have it in an ``AlmaStructure``."""
    structure = _one(root, "ProjectStructure")
    if len(structure.children("OUSStatusRef")) != 1:
        structure = _one(structure, "AlmaStructure")
    found: dict[str, Value] = {name: _required(structure, name) for name in TITLES}
    for name, keys in REFERENCES.items():
        attributes = _one(structure, name).attributes
        found |= {f"{name}/{key}": cast_text(attributes.get(key, "")) for key in keys}
    return found


def _pairs(elements: Sequence[Element]) -> dict[Value, Value]:
    """Keywords and values up to the first keyword that cannot be taken; a value that cannot is empty."""
    pairs: dict[Value, Value] = {}
    for element in elements:
        name = leaf(element, "Keyword")
        if name is None:
            break
        value = leaf(element, "Value")
        pairs[name] = "" if value is None else value
    return pairs


def _intents(intents: Element) -> dict[Value, Value]:
    return _pairs(intents.children("Intents"))


def _title(procedure: Element) -> Value:
    title = leaf(procedure, "ProcedureTitle")
    return "Undefined" if title is None else title


def _commands(procedure: Element) -> Iterator[Command]:
    for element in procedure.children("ProcessingCommand"):
        name, sets = leaf(element, "Command"), element.children("ParameterSet")
        if name is None or not sets:
            return
        # A second set makes a list of them, and a list has no parameters.
        parameters = _pairs(sets[0].children("Parameter")) if len(sets) == 1 else {}
        yield Command(name, parameters, element)


def _sdms(data_set: Element) -> Iterator[DataSet]:
    name = leaf(data_set, "SdmIdentifier")
    if name is not None:
        yield DataSet(name, name)


def _asdms(block: Element) -> Iterator[DataSet]:
    for element in block.children("AsdmIdentifier"):
        name, uid = leaf(element, "AsdmDiskName"), leaf(element, "AsdmRef/ExecBlockId")
        if name is None or uid is None:
            return
        yield DataSet(name, uid)


def _check_texts(root: Element, request: Element, written: Sequence[Value], reading: Reading) -> None:
    """The executor adds these to texts, which fails if they were cast to something else."""
    for value in written:
        if not isinstance(value, str):
            raise RequestRefused(root, f"its summary, structure or title has {value!r}, where it needs a text", 1)
    for value in (*reading.intents, *(data_set.disk_name for data_set in reading.data_sets)):
        if not isinstance(value, str):
            raise RequestRefused(request, f"a name in it is read as {value!r}, where it needs a text", 1)


def _with_sessions(reading: Reading, request: Element) -> Reading:
    sessions: dict[str, list[str]] = {}
    for number in count(1):
        key = f"SESSION_{number}"
        if key not in reading.intents:
            break
        members = reading.intents[key]
        if not isinstance(members, str):
            raise RequestRefused(_one(request, "ProcessingIntents"), f"{key} is read as {members!r}", 1)
        sessions[key.lower()] = [uid.translate(str.maketrans(":/", "__")) for uid in members.split(BETWEEN_UIDS)]
    data_sets = tuple(replace(each, session=_session_of(str(each.disk_name), sessions)) for each in reading.data_sets)
    return replace(reading, data_sets=data_sets)


def _session_of(disk_name: str, sessions: Mapping[str, Sequence[str]]) -> str:
    name = _without_ending(disk_name)
    return next((session for session, members in sessions.items() if name in members), DEFAULT_SESSION)


def _without_ending(name: str) -> str:
    for ending in _ENDINGS_OF_SETS:
        if name.endswith(ending):
            return _without_ending(name.removesuffix(ending))
    return name
