"""The linter of a pipeline processing request (PPR): does it say to the pipeline what it says to a person?

What the pipeline reads is :mod:`srdp.domain.ppr.reader`'s to know; it is silent where it cannot make something out. The
rules of this module say of each difference where it is and what to write instead, and in the end the whole of both
readings is compared, so that a PPR that passes is read as it is meant. Every PPR is linted before CASA sees it, one
that an analyst edited and our own alike.

The families have most in common. What each has of its own, how it names its data, is a :class:`_Dialect`; which stages
read which files is in :mod:`srdp.domain.analyst_files.names`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from srdp.domain.common.lint import Notes, Report
from srdp.domain.common.pipeline_values import Value, cast_text
from srdp.domain.common.safe_xml import UnreadableXml
from srdp.domain.ppr.document import is_below_root
from srdp.domain.ppr.markup import CDATA, ROOT, TEXT, Element, Node, parse_ppr, text_of
from srdp.domain.ppr.reader import (
    BETWEEN_UIDS,
    BREAKPOINT,
    DATA_PARAMETERS,
    DEFAULT_SESSION,
    REFERENCES,
    SCHED_BLOCK,
    SPECTRAL_MODE,
    SUMMARY_OF_ALMA,
    SUMMARY_OF_VLA,
    TAKES_DATA,
    TITLES,
    Reading,
    RequestRefused,
    read_ppr,
    value_of,
)
from srdp.domain.ppr.stage_names import PREFIXES, STAGES, is_misspelt, meant_stage
from srdp.domain.ppr.stage_problems import Stage, as_xml, stage_problems
from srdp.domain.runs.identifiers import disk_name
from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION
from srdp.domain.runs.subject import Subject

_REQUEST = "ProcessingRequests/ProcessingRequest"
_PROCEDURE, _INTENTS = f"{_REQUEST}/ProcessingProcedure", f"{_REQUEST}/ProcessingIntents"
_COMMAND = f"{_PROCEDURE}/ProcessingCommand"
_PARAMETER = f"{_COMMAND}/ParameterSet/Parameter"
_DATA, _BLOCK = f"{_REQUEST}/DataSet", f"{_REQUEST}/{SCHED_BLOCK}"
_STRUCTURE = "ProjectStructure"
_OLD_STRUCTURE = f"{_STRUCTURE}/AlmaStructure"
#: What the pipeline's reader asks for, by the path of the parent; it fails without.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "": ("ProjectSummary", "ProcessingRequests"),
    "ProjectSummary": SUMMARY_OF_VLA,
    "ProcessingRequests": ("ProcessingRequest",),
    _REQUEST: ("ProcessingIntents", "ProcessingProcedure", "DataSet"),
    _PROCEDURE: ("ProcessingCommand",),
}
#: Of these there is one in its parent: of several, the reader finds none.
_SINGLE = frozenset(
    {
        *("ProjectSummary", "ProcessingRequests", "ProcessingRequest", *SUMMARY_OF_VLA),
        *("ProcessingIntents", "ProcessingProcedure", "DataSet", "RelativePath"),
        *("ProcedureTitle", "Command", "ParameterSet", "Keyword", "Value"),
        *(_STRUCTURE, "AlmaStructure", *REFERENCES, *TITLES, "SchedBlockSet", "SchedBlockIdentifier"),
        *("AsdmRef", "ExecBlockId", "AsdmDiskName"),
    }
)
#: What there is within a recipe; anything else would be a stage or a parameter that is not there.
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "ProcessingIntents": ("Intents",),
    "Intents": ("Keyword", "Value"),
    "ProcessingProcedure": ("ProcedureTitle", "ProcessingCommand"),
    "ProcessingCommand": ("Command", "ParameterSet"),
    "ParameterSet": ("Parameter",),
    "Parameter": ("Keyword", "Value"),
}
#: Where the reader looks for what; the same name elsewhere is not read.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "ProjectSummary": ("ProjectSummary",),
    "ProcessingRequests": ("ProcessingRequests",),
    "ProcessingRequest": (_REQUEST,),
    "ProcessingIntents": (_INTENTS,),
    "ProcessingProcedure": (_PROCEDURE,),
    "DataSet": (_DATA,),
    "Intents": (f"{_INTENTS}/Intents",),
    "ProcedureTitle": (f"{_PROCEDURE}/ProcedureTitle",),
    "ProcessingCommand": (_COMMAND,),
    "Command": (f"{_COMMAND}/Command",),
    "ParameterSet": (f"{_COMMAND}/ParameterSet",),
    "Parameter": (_PARAMETER,),
    "Keyword": (f"{_PARAMETER}/Keyword", f"{_INTENTS}/Intents/Keyword"),
    "SdmIdentifier": (f"{_DATA}/SdmIdentifier",),
    "SchedBlockSet": (f"{_DATA}/SchedBlockSet",),
    "SchedBlockIdentifier": (_BLOCK,),
    "AsdmIdentifier": (f"{_BLOCK}/AsdmIdentifier",),
    "AsdmDiskName": (f"{_BLOCK}/AsdmIdentifier/AsdmDiskName",),
    "ExecBlockId": (f"{_BLOCK}/AsdmIdentifier/AsdmRef/ExecBlockId",),
    "RelativePath": (f"{_DATA}/RelativePath", f"{_BLOCK}/RelativePath"),
    "OUSStatusRef": (f"{_STRUCTURE}/OUSStatusRef", f"{_OLD_STRUCTURE}/OUSStatusRef"),
}
_REFUSED = "the pipeline would refuse the whole PPR"
#: The elements that hold a text, and what becomes of the run if the reader cannot take it.
_LEAVES: Mapping[str, str] = {
    f"{_PROCEDURE}/ProcedureTitle": "the recipe would be called Undefined",
    f"{_COMMAND}/Command": "the pipeline would drop this stage and all later ones in silence",
    f"{_PARAMETER}/Keyword": "the pipeline would drop this parameter and all later ones of the stage in silence",
    f"{_PARAMETER}/Value": "the stage would get an empty text",
    f"{_INTENTS}/Intents/Keyword": "the pipeline would drop this intent and all later ones in silence",
    f"{_INTENTS}/Intents/Value": "the pipeline would take an empty text",
}
#: The values among them, which may be empty and are cast; all others are names, by which the executor fails then.
_VALUES = frozenset({f"{_PARAMETER}/Value", f"{_INTENTS}/Intents/Value"})
_EXPORT = "_exportdata"
_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TITLE = re.compile(r"[A-Za-z0-9_.-]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: Categories of characters that nobody sees, or takes for a blank; see :func:`unicodedata.category`.
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})


def lint_processing_request(
    content: bytes,
    *,
    subject: Subject,
    file: str = "PPR.xml",
    analyst_files: Collection[str] = (),
) -> Report:
    """Lints the PPR of a run.

    Args:
        content: the file's bytes.
        subject: what the run works on; of a MOUS whose ASDMs are not known they are not compared.
        file: what the person calls the file, a name or a path.
        analyst_files: which files of the analyst are given with it, by the names that the analyst uses, for example
            ``flagtemplate.txt``; one that no stage of the PPR reads, or that a stage would replace, is a finding.
    """
    notes = Notes(file, content.decode("utf-8", errors="replace"))
    try:
        root = parse_ppr(content, file)
    except UnreadableXml as error:
        notes.error(error.line, error.column, file, error.problem, error.fix)
        return notes.report()
    _Linter(notes, subject).lint(root, analyst_files)
    return notes.report()


class _Linter:
    """The rules for a document that can be read.

    Args:
        notes: where findings go.
        subject: what the run works on.
    """

    def __init__(self, notes: Notes, subject: Subject) -> None:
        self._notes = notes
        self._dialect = _DIALECTS[subject.kind]
        self.subject = subject

    def lint(self, root: Element, analyst_files: Collection[str]) -> None:
        """Note everything that is wrong in the document."""
        for path, names in (*_REQUIRED.items(), *self._dialect.required.items()):
            parent = root.find(path) if path else root
            if parent is not None:
                self.require(parent, names)
        for element in root.iter():
            self._place(element)
            self._single_and_known(element)
            self._text(element)
        self._project(root)
        request = root.find(_REQUEST)
        if request is not None:
            self._relative_path(request)
            self._title(request)
            self._intents(request)
            self._dialect.data(self, root, request)
            self._commands(request.findall("ProcessingProcedure/ProcessingCommand"), analyst_files)
        if not self._notes.report().findings:
            self._compare(root)

    # --- structure ------------------------------------------------------------------------------------------------

    def require(self, parent: Element, names: Iterable[str]) -> None:
        """Note which elements a parent lacks."""
        for name in names:
            if parent.find(name) is None:
                self.error(parent, parent.tag, f"has no <{name}>", f"add one to the <{parent.tag}>")

    def _place(self, element: Element) -> None:
        places = _PLACES.get(element.tag)
        if places and element.path not in places and element.parent is not None:
            problem = f"stands in a <{element.parent.tag}>, where the pipeline does not look for it"
            within = " or ".join(f"<{place.split('/')[-2] if '/' in place else ROOT}>" for place in places)
            self.error(element, element.tag, problem, f"move it into its {within}, or remove it")

    def _single_and_known(self, element: Element) -> None:
        seen: Counter[str] = Counter()
        known = {**_KNOWN, **self._dialect.known}.get(element.tag)
        for child in element.children():
            name = child.tag
            seen[name] += 1
            meant = known or (() if name in _SPELLINGS else sorted(tag for tag in _SPELLINGS if is_misspelt(tag, name)))
            if name not in meant and meant:
                fix = f"write {' or '.join(f'<{word}>' for word in meant)}, or remove it"
                self.error(child, name, f"is not known in a <{element.tag}>, and the pipeline passes over it", fix)
            elif name in _SINGLE and seen[name] > 1:
                problem = f"is there twice in its <{element.tag}>, and the pipeline's reader would find neither"
                self.error(child, name, problem, "keep one of them")

    def _text(self, element: Element) -> None:
        """Note a text that is not taken as it is meant."""
        becomes = {**_LEAVES, **self._dialect.leaves}.get(element.path)
        if becomes is None:
            self._unexpected(element)
            return
        written = text_of(element)
        write = f"write <{element.tag}>{written}</{element.tag}> and nothing else in it"
        if len(element.nodes) > 1 or (element.nodes and value_of(element) is None):
            other = next(_kind(node) for node in element.nodes if _kind(node) != TEXT)
            self.error(element, written, f"has {other} in its <{element.tag}>, so that {becomes}", write)
        elif not written and element.nodes:
            fix = f"write <{element.tag}/>" if element.path in _VALUES else "fill it in"
            problem = f"is a <{element.tag}> of nothing but blanks, which the pipeline takes for its text"
            self.error(element, written, problem, fix)
        elif not written and element.path not in _VALUES:
            self.error(element, written, f"is an empty <{element.tag}>, so that {becomes}", "fill it in")
        elif written:
            self._spelling(element, written, write)

    def _spelling(self, element: Element, written: str, write: str) -> None:
        (text,) = (node.data for node in element.nodes if isinstance(node, Node))
        value = cast_text(text)
        unseen = next(
            (each for each in written if unicodedata.category(each) in _UNSEEN or (each.isspace() and each != " ")), ""
        )
        if text != written and isinstance(value, str):
            self.error(element, text, "has blanks around it, which the pipeline takes for part of it", write)
        elif unseen:
            problem = f"has a character in it that nobody sees (U+{ord(unseen):04X}), and the pipeline takes it"
            self.error(element, written, problem, "write it again")
        elif element.path not in _VALUES and not isinstance(value, str):
            problem = f"is read as {value!r}, and the pipeline would end where it needs a text"
            self.error(element, written, problem, f"write a <{element.tag}> that is no number and no truth value")

    def _unexpected(self, element: Element) -> None:
        """Note a text between elements, by which somebody may have meant something."""
        if element.tag not in _CONTAINERS:
            return
        for node in element.nodes:
            if isinstance(node, Node) and node.kind in {TEXT, CDATA} and node.data.strip():
                problem = f"stands between the elements of a <{element.tag}>, where the pipeline passes over it"
                fix = "remove it; what is to be left out is put between <!-- and -->"
                self.error(element, node.data.strip()[:80], problem, fix)

    def _project(self, root: Element) -> None:
        project, code = self.subject.project, root.find("ProjectSummary/ProposalCode")
        if project and code is not None and text_of(code) not in {"", project}:
            self.warn(code, text_of(code), f"is not the {self._dialect.subject}'s project", f"write {project}")

    def _relative_path(self, request: Element) -> None:
        relative_path = request.find(self._dialect.relative_path)
        if relative_path is not None and not is_below_root(text_of(relative_path)):
            problem = "is no RelativePath of a directory below the pipeline's root"
            self.error(relative_path, text_of(relative_path)[:300], problem, "write the name of the run's directory")

    def _title(self, request: Element) -> None:
        title = request.find("ProcessingProcedure/ProcedureTitle")
        if title is not None and text_of(title) and not _TITLE.fullmatch(text_of(title)):
            problem = "is the name of no recipe, and the pipeline names its products by it"
            self.error(title, text_of(title), problem, "write it of letters, digits, _, - and . alone")

    def _intents(self, request: Element) -> None:
        keywords: Counter[str] = Counter()
        for intent in request.findall("ProcessingIntents/Intents"):
            self.require(intent, ("Keyword", "Value"))
            keyword, element = text_of(intent.find("Keyword")), intent.find("Value")
            keywords[keyword] += 1
            if keyword and keywords[keyword] > 1:
                self.error(intent, keyword, "is there twice, and the last wins", "keep one of them")
            if element is None:
                continue
            if keyword == SPECTRAL_MODE and not isinstance(value_of(element), bool):
                problem = f"is no value of {SPECTRAL_MODE}: some releases take it for True, some for False"
                self.error(element, text_of(element), problem, "write True or False")
            self._value(element, keyword)

    # --- recipe ---------------------------------------------------------------------------------------------------

    def _commands(self, commands: list[Element], analyst_files: Collection[str]) -> None:
        for number, command in enumerate(commands, start=1):
            self._command(command, later=len(commands) - number)
        commands = [command for command in commands if _name(command) != BREAKPOINT]
        if commands and not _name(commands[-1]).endswith(_EXPORT):
            self.error(
                commands[-1],
                _name(commands[-1]),
                "is the last stage and no export, and the run would leave no products",
                f"end the recipe with a stage such as {self._dialect.prefix}{_EXPORT}",
            )
        if self._dialect.stages is not None:
            self._dialect.stages(self, commands)
        for problem in stage_problems(self.subject.kind, [_stage(command) for command in commands], analyst_files):
            self.error(commands[problem.place], problem.value, problem.problem, problem.fix)

    def _command(self, command: Element, later: int) -> None:
        name = _name(command)
        missing = next((tag for tag in ("Command", "ParameterSet") if command.find(tag) is None), "")
        if missing:
            self.error(
                command,
                name or command.tag,
                f"has no {missing}, and the pipeline would drop it and the {later} later stages in silence",
                "add <ParameterSet/>" if name else "name its <Command>, or remove the <ProcessingCommand>",
            )
        elif name and not _STAGE.fullmatch(name):
            fix = "write it as the recipe does, for example hif_makeimages, without blanks or hyphens"
            self.error(command, name, "is no name of a stage, and the pipeline would stop there", fix)
        elif meant := meant_stage(name):
            self.error(command, name, "is the name of no stage, and the pipeline would stop there", f"write {meant}")
        elif name.startswith(PREFIXES) and name not in STAGES:
            problem = "is no stage that this check knows, and the pipeline stops there if your release has none"
            self.warn(command, name, problem, "compare it with the documentation of your release")
        self._parameters(command, name)

    def _parameters(self, command: Element, name: str) -> None:
        keywords: Counter[str] = Counter()
        for parameter in command.findall("ParameterSet/Parameter"):
            self.require(parameter, ("Keyword", "Value"))
            keyword, value = text_of(parameter.find("Keyword")), parameter.find("Value")
            keywords[keyword] += 1
            if keyword and not keyword.isidentifier():
                problem = f"is no keyword of {name or 'the stage'}, which would stop"
                self.error(parameter, keyword, problem, "write it as the stage's documentation does")
            elif keyword and keywords[keyword] > 1:
                problem = f"is given {keywords[keyword]} times to {name or 'the stage'}, and the last wins"
                self.error(parameter, keyword, problem, "keep one of them")
            elif keyword in DATA_PARAMETERS and name in TAKES_DATA:
                problem = f"is given to {name}, for which the pipeline replaces it by what the PPR's DataSet names"
                self.error(parameter, keyword, problem, "remove the parameter, and name the data in the DataSet")
            if value is not None:
                self._value(value, keyword)

    def _value(self, element: Element, keyword: str) -> None:
        """Note a value that the reader's casting turns into something else."""
        value = text_of(element)
        cast, whom = cast_text(value), keyword or "the stage"
        if value == "None":
            problem = f"would reach {whom} as the text 'None'"
            self.error(element, value, problem, "remove the parameter, and the stage takes its default")
        elif isinstance(cast, float) and not _NUMBER.fullmatch(value):
            problem = f"would reach {whom} as the number {cast!r}"
            self.error(element, value[:80], problem, 'write the number in digits, or "…" around it if it is a name')
        elif not _is_meant(value, cast):
            self.error(element, value[:80], f"would reach {whom} as the number {_short(cast)}", f"write {_short(cast)}")
        elif keyword == "field" and isinstance(cast, (bool, float)):
            problem = f"would reach {whom} as {cast!r}, which is the name of no field"
            self.error(element, value, problem, f'write "{value}" with the quotation marks')

    # --- both readings --------------------------------------------------------------------------------------------

    def _compare(self, root: Element) -> None:
        """Note where the pipeline takes something else than the file says, of what no rule above is about."""
        try:
            reading = read_ppr(root, alma=self.subject.kind == ALMA_IMAGING)
        except RequestRefused as refused:
            problem = f"makes the pipeline end before its first stage, because {refused}"
            self.error(refused.element, refused.element.tag, problem, "write it as the standard recipes do")
            return
        for element, meant, taken in _differences(root, reading):
            self.error(
                element, meant, f"would be read as {taken!r} by the pipeline", "write it as the standard recipes do"
            )

    def error(self, element: Element, value: object, problem: str, fix: str) -> None:
        """Note what must be changed at an element; see :class:`srdp.domain.common.lint.Finding`."""
        self._notes.error(element.line, element.column, value, problem, fix)

    def warn(self, element: Element, value: object, problem: str, fix: str) -> None:
        """Note what may be meant at an element; likewise."""
        self._notes.warn(element.line, element.column, value, problem, fix)


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    """What a family's PPRs have of their own.

    Attributes:
        subject: what people call that which is processed.
        prefix: what the names of the family's own stages begin with.
        relative_path: where the ``RelativePath`` is below the processing request.
        required: as :data:`_REQUIRED`.
        known: as :data:`_KNOWN`.
        leaves: as :data:`_LEAVES`.
        data: notes what is wrong with the data that are named.
        stages: notes what is wrong with the stages.
    """

    subject: str
    prefix: str
    relative_path: str
    required: Mapping[str, tuple[str, ...]]
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leaves: Mapping[str, str]
    data: Callable[[_Linter, Element, Element], None]
    stages: Callable[[_Linter, Sequence[Element]], None] | None = None


# --- VLA ----------------------------------------------------------------------------------------------------------


def _vla_data(linter: _Linter, root: Element, request: Element) -> None:  # noqa: ARG001
    execution_block = linter.subject.name
    for number, sdm in enumerate(request.findall("DataSet/SdmIdentifier")):
        if text_of(sdm) != execution_block:
            problem = "is not the execution block of this run"
            linter.error(sdm, text_of(sdm), problem, f"name {execution_block} alone")
        elif number:
            problem = "is named in a second SdmIdentifier, and the pipeline would then process none"
            linter.error(sdm, text_of(sdm), problem, "keep one SdmIdentifier")


# --- ALMA ---------------------------------------------------------------------------------------------------------

_RESTORE, _IMAGES = "hifa_restoredata", "hif_makeimages"
_LISTS = frozenset({"hif_makeimlist", "hif_editimlist"})
_SESSION = re.compile(r"SESSION_([0-9]{1,4})")


def _alma_data(linter: _Linter, root: Element, request: Element) -> None:
    structure, mous = _structure(root), linter.subject.name
    if structure is not None:
        linter.require(structure, (*REFERENCES, *TITLES))
        _references(linter, structure)
        status = structure.find("OUSStatusRef")
        if status is not None and (entity := status.attributes.get("entityId", "")) != mous:
            linter.error(status, entity, "is no entityId of this run's MOUS", f'write entityId="{mous}"')
    known: dict[str, str] = {asdm.uid: asdm.disk_name for asdm in linter.subject.asdms}
    elements = request.findall(f"{SCHED_BLOCK}/AsdmIdentifier")
    named = [_asdm(linter, each, known) for each in elements]
    for number, uid in enumerate(named):
        if uid and uid in named[:number]:
            linter.error(elements[number], uid, "is named twice", "keep one AsdmIdentifier of it")
    block = request.find(SCHED_BLOCK)
    for uid, on_disk in known.items():
        if block is not None and uid not in named:
            fix = (
                f"add <AsdmIdentifier><AsdmRef><ExecBlockId>{uid}</ExecBlockId></AsdmRef>"
                f"<AsdmDiskName>{on_disk}</AsdmDiskName></AsdmIdentifier>"
            )
            linter.error(block, block.tag, f"does not name {uid}, which belongs to {mous}", fix)
    _sessions(linter, request, known or dict.fromkeys(named, ""))


def _structure(root: Element) -> Element | None:
    """Return where ALMA's reader looks for the MOUS: older PPRs have it in an ``AlmaStructure``."""
    if root.find(f"{_STRUCTURE}/OUSStatusRef") is not None:
        return root.find(_STRUCTURE)
    return root.find(_OLD_STRUCTURE) or root.find(_STRUCTURE)


def _references(linter: _Linter, structure: Element) -> None:
    for name, keys in REFERENCES.items():
        for element in structure.findall(name):
            for key in keys:
                value = cast_text(element.attributes.get(key, ""))
                if not isinstance(value, str):
                    problem = f"is read as {value!r}, and the pipeline would end where it needs a text"
                    fix = f"write a {key} that is no number and no truth value"
                    linter.error(element, element.attributes[key], problem, fix)


def _asdm(linter: _Linter, element: Element, known: Mapping[str, str]) -> str:
    """Note what is wrong with an ASDM; return its UID."""
    linter.require(element, ("AsdmRef/ExecBlockId", "AsdmDiskName"))
    uid, on_disk = element.find("AsdmRef/ExecBlockId"), element.find("AsdmDiskName")
    if known and uid is not None and text_of(uid) not in known:
        problem = f"is no ASDM of {linter.subject.name}"
        linter.error(uid, text_of(uid), problem, f"name {' and '.join(known)} alone")
    elif known and on_disk is not None and text_of(on_disk) != known.get(text_of(uid), text_of(on_disk)):
        problem = f"is not how the directory of {text_of(uid)} is called"
        linter.error(on_disk, text_of(on_disk), problem, f"write {known[text_of(uid)]}")
    elif not known and text_of(on_disk) not in {"", disk_name(text_of(uid))}:
        problem = f"is not how the directory of {text_of(uid)} is called, and the pipeline finds its session by it"
        linter.error(on_disk or element, text_of(on_disk), problem, f"write {disk_name(text_of(uid))}")
    return text_of(uid)


def _sessions(linter: _Linter, request: Element, asdms: Mapping[str, str]) -> None:
    """Note what is wrong with the sessions, which the reader counts up from 1 to the first that is missing."""
    seen: set[str] = set()
    numbers: set[int] = set()
    for intents, number in _session_intents(request):
        if number - 1 not in {0, *numbers}:
            problem = "has no session before it, and the pipeline would drop it and all later ones"
            linter.error(intents, f"SESSION_{number}", problem, "count the sessions from 1, without a gap")
        numbers.add(number)
        keyword = text_of(intents.find("Keyword"))
        if keyword != f"SESSION_{number}":
            problem = "is not how the pipeline counts, and it would drop this session and all later ones"
            linter.error(intents, keyword, problem, f"write SESSION_{number}")
        for uid in text_of(intents.find("Value")).split(BETWEEN_UIDS):
            _session_member(linter, intents, number, uid, asdms, seen)
    place = request.find("ProcessingIntents")
    for uid in asdms:
        if place is not None and uid and uid not in seen:
            fix = f'add it to the Value of its session in the calibration, with "{BETWEEN_UIDS}" between UIDs'
            linter.error(place, uid, "is in no session", fix)


def _session_intents(request: Element) -> list[tuple[Element, int]]:
    found = []
    for intents in request.findall("ProcessingIntents/Intents"):
        match = _SESSION.fullmatch(text_of(intents.find("Keyword")))
        if match:
            found.append((intents, int(match[1])))
    return sorted(found, key=lambda pair: pair[1])


def _session_member(
    linter: _Linter, intents: Element, number: int, uid: str, asdms: Mapping[str, str], seen: set[str]
) -> None:
    value, calibrated = intents.find("Value"), linter.subject.sessions.get(uid, number)
    place = intents if value is None else value
    if uid not in asdms:
        fix = f'write UIDs of the ASDMs that the DataSet names, with "{BETWEEN_UIDS}" between them'
        linter.error(place, uid, "is no ASDM of this run", fix)
    elif uid in seen:
        linter.error(place, uid, "is in a session already", "name it once")
    elif calibrated != number:
        problem = f"is in SESSION_{number}, but the calibration that is restored has its tables in session_{calibrated}"
        linter.error(place, uid, problem, f"put it into the Value of SESSION_{calibrated}")
    seen.add(uid)


def _alma_stages(linter: _Linter, commands: Sequence[Element]) -> None:
    names = [_name(command) for command in commands]
    if commands and _IMAGES not in names:
        fix = f"list them by one of {', '.join(sorted(_LISTS))}, and add {as_xml(Stage(_IMAGES))} behind it"
        linter.error(commands[-1], names[-1], "comes without any stage that makes images", fix)
    for number, (name, command) in enumerate(zip(names, commands, strict=True)):
        if name == _RESTORE and _stage(command).parameters.get("copytoraw") != "False":
            problem = "does not say that the calibration is in rawdata/, and would look for it in products/"
            fix = "give it <Parameter><Keyword>copytoraw</Keyword><Value>False</Value></Parameter>"
            linter.error(command, name, problem, fix)
        elif name in _LISTS and _IMAGES not in names[number:]:
            fix = f"add {as_xml(Stage(_IMAGES))} behind it"
            linter.error(command, name, "is followed by no stage that makes the images which it lists", fix)
        elif name.endswith(_EXPORT) and _stage(command).parameters.get("imaging_products_only") != "True":
            problem = "does not have imaging_products_only=True, and would export the calibration again"
            linter.warn(command, name, problem, "give it the parameter")


_DIALECTS: Mapping[str, _Dialect] = {
    VLA_CALIBRATION: _Dialect(
        subject="execution block",
        prefix="hifv",
        relative_path="DataSet/RelativePath",
        required={_DATA: ("SdmIdentifier", "RelativePath")},
        leaves={
            **{f"ProjectSummary/{name}": _REFUSED for name in SUMMARY_OF_VLA},
            f"{_DATA}/SdmIdentifier": "the pipeline would process nothing",
            f"{_DATA}/RelativePath": _REFUSED,
        },
        data=_vla_data,
    ),
    ALMA_IMAGING: _Dialect(
        subject="MOUS",
        prefix="hifa",
        relative_path=f"{SCHED_BLOCK}/RelativePath",
        required={
            "": (_STRUCTURE,),
            _DATA: ("SchedBlockSet",),
            f"{_DATA}/SchedBlockSet": ("SchedBlockIdentifier",),
            _BLOCK: ("RelativePath", "AsdmIdentifier"),
        },
        known={"DataSet": ("SchedBlockSet",), "AsdmIdentifier": ("AsdmRef", "AsdmDiskName")},
        leaves={
            **{f"ProjectSummary/{name}": _REFUSED for name in SUMMARY_OF_ALMA},
            **{f"{place}/{name}": _REFUSED for place in (_STRUCTURE, _OLD_STRUCTURE) for name in TITLES},
            f"{_BLOCK}/RelativePath": _REFUSED,
            **dict.fromkeys(
                (f"{_BLOCK}/AsdmIdentifier/AsdmDiskName", f"{_BLOCK}/AsdmIdentifier/AsdmRef/ExecBlockId"),
                "the pipeline would drop this ASDM and all later ones in silence",
            ),
        },
        data=_alma_data,
        stages=_alma_stages,
    ),
}


# --- helpers ------------------------------------------------------------------------------------------------------


def _name(command: Element) -> str:
    return text_of(command.find("Command"))


def _stage(command: Element) -> Stage:
    """Return a stage with its parameters as they are written; of a repeated keyword the last wins."""
    parameters = command.findall("ParameterSet/Parameter")
    return Stage(_name(command), {text_of(each.find("Keyword")): text_of(each.find("Value")) for each in parameters})


#: Every name that a PPR's reader looks for.
_SPELLINGS = frozenset({*_PLACES, *_SINGLE, *(tag for tags in _KNOWN.values() for tag in tags), "AsdmIdentifier"})
#: The elements with nothing but elements in them.
_CONTAINERS = frozenset(
    {ROOT, *("/".join(places).split("/")[-2] for places in _PLACES.values() if "/" in places[0])}
    - {_STRUCTURE, "AlmaStructure"}
)


def _kind(node: Element | Node) -> str:
    return f"a <{node.tag}>" if isinstance(node, Element) else node.kind


def _is_meant(written: str, taken: Value) -> bool:
    """Return whether the pipeline takes a text for what it says to a person."""
    if isinstance(taken, bool):
        return True  # there is no other way to write it, whatever its case
    if isinstance(taken, int):
        return str(taken) == written.removeprefix("+")
    if isinstance(taken, float):
        return math.isfinite(taken) and _NUMBER.fullmatch(written) is not None
    return taken == written


def _short(value: Value) -> str:
    return f"{value!r}"[:40]


def _differences(root: Element, reading: Reading) -> Iterator[tuple[Element, str, object]]:
    """Yield where the file says one thing to a person and another to the pipeline: element, and both of them."""
    commands = [element for element in root.iter() if element.tag == "ProcessingCommand"]
    for number, element in enumerate(commands):
        taken = reading.commands[number] if number < len(reading.commands) else None
        written = [
            (text_of(each.find("Keyword")), text_of(each.find("Value")))
            for each in element.iter()
            if each.tag == "Parameter"
        ]
        if taken is None or taken.element is not element or taken.name != _name(element):
            yield element, _name(element), taken and taken.name
        elif not _same(written, taken.parameters):
            yield element, _name(element), dict(taken.parameters)
    intents = [each for each in root.iter() if each.tag == "Intents"]
    pairs = [(text_of(each.find("Keyword")), text_of(each.find("Value"))) for each in intents]
    if not _same(pairs, reading.intents):
        yield intents[0] if intents else root, "ProcessingIntents", dict(reading.intents)
    yield from _data_differences(root, reading, dict(pairs))


def _same(written: Sequence[tuple[str, str]], taken: Mapping[Value, Value]) -> bool:
    return [keyword for keyword, _ in written] == [*taken] and all(
        _is_meant(value, taken[key]) for key, value in written
    )


def _data_differences(
    root: Element, reading: Reading, intents: Mapping[str, str]
) -> Iterator[tuple[Element, str, object]]:
    asdms = [each for each in root.iter() if each.tag == "AsdmIdentifier"]
    sessions = {
        uid: keyword.lower()
        for keyword, members in intents.items()
        if _SESSION.fullmatch(keyword)
        for uid in members.split(BETWEEN_UIDS)
    }
    written = [
        (
            text_of(each.find("AsdmDiskName")),
            uid := text_of(each.find("AsdmRef/ExecBlockId")),
            sessions.get(uid, DEFAULT_SESSION),
        )
        for each in asdms
    ] or [(text_of(each), text_of(each), DEFAULT_SESSION) for each in root.iter() if each.tag == "SdmIdentifier"]
    taken = [(each.disk_name, each.uid, each.session) for each in reading.data_sets]
    if written != taken:
        yield asdms[0] if asdms else root, f"{written}", taken
    paths = [each for each in root.iter() if each.tag == "RelativePath"]
    if [text_of(each) for each in paths] != [reading.relative_path]:
        yield paths[0] if paths else root, text_of(paths[0] if paths else None), reading.relative_path
