"""The linter of a pipeline processing request (PPR): does it say to the pipeline what it says to a person?

The pipeline's reader is silent. It drops a command that it cannot make out, with every later one, passes over what it
does not know, takes the first of two elements and the last of two keywords, casts values, and returns normally when
nothing is left to do. Every PPR is linted before CASA sees it, one that an analyst edited and our own alike.

The families have most in common. What each has of its own, how it names its data and which stages read which files, is
a :class:`_Dialect`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from srdp.domain.given_files import CONTINUUM_RANGES, FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.ledger_records import ALMA_IMAGING, VLA_CALIBRATION
from srdp.domain.lint import Notes, Report
from srdp.domain.ppr import OUS_STATUS, SCHED_BLOCK, is_below_root, is_kept, text_of
from srdp.domain.safe_xml import UnreadableXml, XmlElement, line_of, parse_xml
from srdp.domain.subject import Subject

_ROOT = "SciPipeRequest"
_REQUEST = "ProcessingRequests/ProcessingRequest"
#: What the pipeline's reader asks for, by the path of the parent; it fails without.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "": ("ProjectSummary", "ProcessingRequests"),
    "ProjectSummary": ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode"),
    "ProcessingRequests": ("ProcessingRequest",),
    _REQUEST: ("ProcessingIntents", "ProcessingProcedure", "DataSet"),
    f"{_REQUEST}/ProcessingProcedure": ("ProcessingCommand",),
}
#: Of these there is one in its parent: the reader takes the first and passes over the others.
_SINGLE = frozenset(
    {
        *("ProjectSummary", "ProcessingRequests", "ProcessingRequest"),
        *("ProcessingIntents", "ProcessingProcedure", "DataSet", "RelativePath"),
        *("ProcedureTitle", "Command", "ParameterSet", "Keyword", "Value"),
        *("ProjectStructure", "OUSStatusRef", "SchedBlockSet", "SchedBlockIdentifier"),
        *("AsdmRef", "ExecBlockId", "AsdmDiskName"),
    }
)
#: What the reader knows within a recipe; a misspelt element would be a stage or a parameter that is not there.
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "ProcessingProcedure": ("ProcedureTitle", "ProcessingCommand"),
    "ProcessingCommand": ("Command", "ParameterSet"),
    "ParameterSet": ("Parameter",),
    "Parameter": ("Keyword", "Value"),
}
_EXPORT = "_exportdata"
_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


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
        root = parse_xml(content, file, root=_ROOT)
    except UnreadableXml as error:
        notes.error(error.line, error.column, file, error.problem, error.fix)
        return notes.report()
    _Linter(notes, _places(root, content), subject).lint(root, analyst_files)
    return notes.report()


class _Linter:
    """The rules for a document that can be read.

    Args:
        notes: where findings go.
        places: line and column of each element.
        subject: what the run works on.
    """

    def __init__(self, notes: Notes, places: Mapping[XmlElement, tuple[int, int]], subject: Subject) -> None:
        self._notes = notes
        self._places = places
        self._dialect = _DIALECTS[subject.kind]
        self.subject = subject

    def lint(self, root: XmlElement, analyst_files: Collection[str]) -> None:
        """Notes everything that is wrong in the document."""
        for path, names in (*_REQUIRED.items(), *self._dialect.required.items()):
            parent = root.find(path) if path else root
            if parent is not None:
                self.require(parent, names)
        for element in root.iter("*"):
            self._single_and_known(element)
        self._summary(root)
        request = root.find("ProcessingRequests/ProcessingRequest")
        if request is None:
            return
        self._relative_path(request)
        self._dialect.data(self, root, request)
        self._commands(request.findall("ProcessingProcedure/ProcessingCommand"), analyst_files)

    # --- structure ------------------------------------------------------------------------------------------------

    def require(self, parent: XmlElement, names: Iterable[str]) -> None:
        """Notes which elements a parent lacks."""
        for name in names:
            if parent.find(name) is None:
                self.error(parent, parent.tag, f"has no <{name}>", f"add one to the <{parent.tag}>")

    def _single_and_known(self, element: XmlElement) -> None:
        seen: Counter[str] = Counter()
        known = {**_KNOWN, **self._dialect.known}.get(str(element.tag))
        for child in element.iterchildren("*"):
            name = str(child.tag)
            seen[name] += 1
            if known is not None and name not in known:
                fix = f"write {' or '.join(f'<{word}>' for word in known)}, or remove it"
                self.error(child, name, f"is not known in a <{element.tag}>, and the pipeline passes over it", fix)
            elif name in _SINGLE and seen[name] > 1:
                problem = f"is there twice in its <{element.tag}>, of which the pipeline takes the first"
                self.error(child, name, problem, "keep one of them")

    def _summary(self, root: XmlElement) -> None:
        summary = root.find("ProjectSummary")
        if summary is None:
            return
        for child in summary.iterchildren("*"):
            if not text_of(child):
                self.warn(child, child.tag, "is empty", "fill it in")
        project = self.subject.project
        code = summary.find("ProposalCode")
        if project and code is not None and text_of(code) not in {"", project}:
            self.warn(code, text_of(code), f"is not the {self._dialect.subject}'s project", f"write {project}")

    def _relative_path(self, request: XmlElement) -> None:
        relative_path = request.find(self._dialect.relative_path)
        if relative_path is not None and not is_below_root(text_of(relative_path)):
            self.error(
                relative_path,
                text_of(relative_path),
                "is no RelativePath below the pipeline's root",
                "write the name of the run's directory",
            )

    # --- recipe ---------------------------------------------------------------------------------------------------

    def _commands(self, commands: list[XmlElement], analyst_files: Collection[str]) -> None:
        for number, command in enumerate(commands, start=1):
            self._command(command, later=len(commands) - number)
        if commands and not text_of(commands[-1].find("Command")).endswith(_EXPORT):
            self.error(
                commands[-1],
                text_of(commands[-1].find("Command")),
                "is the last stage and no export, and the run would leave no products",
                f"end the recipe with a stage such as {self._dialect.prefix}{_EXPORT}",
            )
        if self._dialect.stages is not None:
            self._dialect.stages(self, commands)
        for file in sorted({*analyst_files} & {*self._dialect.files}) if commands else ():
            self._dialect.files[file](self, file, commands)

    def _command(self, command: XmlElement, later: int) -> None:
        name = text_of(command.find("Command"))
        if not is_kept(command):
            missing = "no ParameterSet" if name else "no Command"
            self.error(
                command,
                name or command.tag,
                f"has {missing}, and the pipeline would drop it and the {later} later stages in silence",
                "add <ParameterSet/>" if name else "name its <Command>, or remove the <ProcessingCommand>",
            )
        elif not _STAGE.fullmatch(name):
            fix = "write it as the recipe does, for example hif_makeimages, without blanks or hyphens"
            self.error(command, name, "is no name of a stage, and the pipeline would stop there", fix)
        keywords: Counter[str] = Counter()
        for parameter in command.findall("ParameterSet/Parameter"):
            self.require(parameter, ("Keyword", "Value"))
            keyword = text_of(parameter.find("Keyword"))
            keywords[keyword] += 1
            if not keyword:
                self.error(parameter, keyword, f"is no keyword of {name or 'the stage'}", "name the parameter")
            elif keywords[keyword] > 1:
                problem = f"is given {keywords[keyword]} times to {name or 'the stage'}, of which the last wins"
                self.error(parameter, keyword, problem, "keep one of them")
            self._value(parameter, keyword)

    def _value(self, parameter: XmlElement, keyword: str) -> None:
        """Notes a value that the reader's casting turns into something else."""
        element = parameter.find("Value")
        value = text_of(element)
        place = parameter if element is None else element
        if value == "None":
            problem = f"would reach {keyword or 'the stage'} as the text 'None'"
            self.error(place, value, problem, "remove the parameter, and the stage takes its default")
        elif value in {"true", "false"}:
            problem = f"would reach {keyword or 'the stage'} as text"
            self.warn(place, value, problem, f"write {value.capitalize()} if a truth value is meant")
        elif (whole := _as_whole(value)) is not None and str(whole) != value.removeprefix("+"):
            problem = f"would reach {keyword or 'the stage'} as the number {str(whole)[:40]}"
            self.error(place, value, problem, f"write {str(whole)[:40]}")
        elif _is_odd_number(value):
            problem = f"may reach {keyword or 'the stage'} as a number, not as text"
            self.warn(place, value, problem, "see in the weblog what the stage made of it")

    def error(self, element: XmlElement, value: object, problem: str, fix: str) -> None:
        """Notes what must be changed at an element; see :class:`srdp.domain.lint.Finding`."""
        self._notes.error(*self._places[element], value, problem, fix)

    def warn(self, element: XmlElement, value: object, problem: str, fix: str) -> None:
        """Notes what may be meant at an element; likewise."""
        self._notes.warn(*self._places[element], value, problem, fix)


FileCheck = Callable[[_Linter, str, Sequence[XmlElement]], None]


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    """What a family's PPRs have of their own.

    Attributes:
        subject: what people call that which is processed.
        prefix: what the names of the family's own stages begin with.
        relative_path: where the ``RelativePath`` lies below the processing request.
        required: as :data:`_REQUIRED`.
        known: as :data:`_KNOWN`.
        data: notes what is wrong with the data that are named.
        stages: notes what is wrong with the stages.
        files: by the file of an analyst, what notes that the stages do not go with it.
    """

    subject: str
    prefix: str
    relative_path: str
    required: Mapping[str, tuple[str, ...]]
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data: Callable[[_Linter, XmlElement, XmlElement], None]
    stages: Callable[[_Linter, Sequence[XmlElement]], None] | None = None
    files: Mapping[str, FileCheck]


# --- VLA ----------------------------------------------------------------------------------------------------------


def _vla_data(linter: _Linter, root: XmlElement, request: XmlElement) -> None:  # noqa: ARG001
    execution_block = linter.subject.name
    for number, sdm in enumerate(request.findall("DataSet/SdmIdentifier")):
        if text_of(sdm) != execution_block:
            problem = "is not the execution block of this run"
            linter.error(sdm, text_of(sdm), problem, f"name {execution_block} alone")
        elif number:
            problem = "is named in a second SdmIdentifier, and the pipeline would then process none"
            linter.error(sdm, text_of(sdm), problem, "keep one SdmIdentifier")


def _flag_template_is_read(linter: _Linter, file: str, commands: Sequence[XmlElement]) -> None:
    ending = "_flagdata"
    stages = [command for command in commands if _name(command).endswith(ending)]
    if not stages:
        problem = f"has no stage that reads the {file} (its name ends in {ending})"
        linter.error(commands[0], "ProcessingProcedure", problem, f"add one, or leave the {file} out")
    else:
        _check_switch(linter, file, stages)


# --- ALMA ---------------------------------------------------------------------------------------------------------

_RESTORE, _SPLIT, _CONTINUUM = "hifa_restoredata", "hif_mstransform", "hif_findcont"
_FLAG_TARGETS, _IMAGES = "hifa_flagtargets", "hif_makeimages"
_LISTS = frozenset({"hif_makeimlist", "hif_editimlist"})
_SESSION = re.compile(r"SESSION_([0-9]{1,4})")
_BETWEEN_UIDS = " | "


def _alma_data(linter: _Linter, root: XmlElement, request: XmlElement) -> None:
    status, mous = root.find(OUS_STATUS), linter.subject.name
    if status is not None and (entity := str(status.get("entityId", "")).strip()) != mous:
        linter.error(status, entity, "is no entityId of this run's MOUS", f'write entityId="{mous}"')
    known: dict[str, str] = {asdm.uid: asdm.disk_name for asdm in linter.subject.asdms}
    named = [_asdm(linter, each, known) for each in request.findall(f"{SCHED_BLOCK}/AsdmIdentifier")]
    block = request.find(SCHED_BLOCK)
    for uid, disk_name in known.items():
        if block is not None and uid not in named:
            fix = (
                f"add <AsdmIdentifier><AsdmRef><ExecBlockId>{uid}</ExecBlockId></AsdmRef>"
                f"<AsdmDiskName>{disk_name}</AsdmDiskName></AsdmIdentifier>"
            )
            linter.error(block, block.tag, f"does not name {uid}, which belongs to {mous}", fix)
        elif named.count(uid) > 1:
            linter.error(_of_uid(request, uid)[1], uid, "is named twice", "keep one AsdmIdentifier of it")
    _sessions(linter, request, known or dict.fromkeys(named, ""))


def _asdm(linter: _Linter, element: XmlElement, known: Mapping[str, str]) -> str:
    """Notes what is wrong with an ASDM; returns its UID."""
    linter.require(element, ("AsdmRef/ExecBlockId", "AsdmDiskName"))
    uid, on_disk = element.find("AsdmRef/ExecBlockId"), element.find("AsdmDiskName")
    if known and uid is not None and text_of(uid) not in known:
        problem = f"is no ASDM of {linter.subject.name}"
        linter.error(uid, text_of(uid), problem, f"name {' and '.join(known)} alone")
    elif known and on_disk is not None and text_of(on_disk) != known.get(text_of(uid), text_of(on_disk)):
        problem = f"is not how the directory of {text_of(uid)} is called"
        linter.error(on_disk, text_of(on_disk), problem, f"write {known[text_of(uid)]}")
    return text_of(uid)


def _of_uid(request: XmlElement, uid: str) -> list[XmlElement]:
    return [
        element
        for element in request.findall(f"{SCHED_BLOCK}/AsdmIdentifier")
        if text_of(element.find("AsdmRef/ExecBlockId")) == uid
    ]


def _sessions(linter: _Linter, request: XmlElement, asdms: Mapping[str, str]) -> None:
    """Notes what is wrong with the sessions, which the reader counts up from 1 to the first that is missing."""
    seen: set[str] = set()
    numbers: set[int] = set()
    for intents, number in _session_intents(request):
        if number in numbers:
            problem = "is there twice, of which the last wins"
            linter.error(intents, f"SESSION_{number}", problem, "put all its ASDMs into one")
        elif number - 1 not in {0, *numbers}:
            problem = "has no session before it, and the pipeline would drop it and all later ones"
            linter.error(intents, f"SESSION_{number}", problem, "count the sessions from 1, without a gap")
        numbers.add(number)
        keyword = text_of(intents.find("Keyword"))
        if keyword != f"SESSION_{number}":
            problem = "is not how the pipeline counts, and it would drop this session and all later ones"
            linter.error(intents, keyword, problem, f"write SESSION_{number}")
        for uid in text_of(intents.find("Value")).split(_BETWEEN_UIDS):
            _session_member(linter, intents, number, uid, asdms, seen)
    place = request.find("ProcessingIntents")
    for uid in asdms:
        if place is not None and uid and uid not in seen:
            fix = f'add it to the Value of its session in the calibration, with "{_BETWEEN_UIDS}" between UIDs'
            linter.error(place, uid, "is in no session", fix)


def _session_intents(request: XmlElement) -> list[tuple[XmlElement, int]]:
    found = []
    for intents in request.findall("ProcessingIntents/Intents"):
        match = _SESSION.fullmatch(text_of(intents.find("Keyword")))
        if match:
            found.append((intents, int(match[1])))
    return sorted(found, key=lambda pair: pair[1])


def _session_member(
    linter: _Linter, intents: XmlElement, number: int, uid: str, asdms: Mapping[str, str], seen: set[str]
) -> None:
    value, calibrated = intents.find("Value"), linter.subject.sessions.get(uid, number)
    place = intents if value is None else value
    if uid not in asdms:
        fix = f'write UIDs of the ASDMs that the DataSet names, with "{_BETWEEN_UIDS}" between them'
        linter.error(place, uid, "is no ASDM of this run", fix)
    elif uid in seen:
        linter.error(place, uid, "is in a session already", "name it once")
    elif calibrated != number:
        problem = f"is in SESSION_{number}, but the calibration that is restored has its tables in session_{calibrated}"
        linter.error(place, uid, problem, f"put it into the Value of SESSION_{calibrated}")
    seen.add(uid)


def _alma_stages(linter: _Linter, commands: Sequence[XmlElement]) -> None:
    names = [_name(command) for command in commands]
    if commands and _IMAGES not in names:
        fix = f"list them by one of {', '.join(sorted(_LISTS))}, and add {_command_line(_IMAGES)} behind it"
        linter.error(commands[-1], names[-1], "comes without any stage that makes images", fix)
    for number, (name, command) in enumerate(zip(names, commands, strict=True)):
        if name == _RESTORE and _last_value(command, "copytoraw") != "False":
            problem = "is not told that the calibration lies in rawdata/, and would look for it in products/"
            fix = "give it <Parameter><Keyword>copytoraw</Keyword><Value>False</Value></Parameter>"
            linter.error(command, name, problem, fix)
        elif name in _LISTS and _IMAGES not in names[number:]:
            fix = f"add {_command_line(_IMAGES)} behind it"
            linter.error(command, name, "is followed by no stage that makes the images which it lists", fix)
        elif name == _FLAG_TARGETS and _IMAGES in names[:number]:
            fix = f"move it to the line behind {_SPLIT}"
            linter.error(command, name, f"stands behind {_IMAGES}, whose images would not have the flags", fix)
        elif name.endswith(_EXPORT) and _last_value(command, "imaging_products_only") != "True":
            problem = "is not told imaging_products_only=True, and would export the calibration once more"
            linter.warn(command, name, problem, "give it the parameter")


def _target_flags_are_read(linter: _Linter, file: str, commands: Sequence[XmlElement]) -> None:
    stages = [command for command in commands if _name(command) == _FLAG_TARGETS]
    if stages:
        _check_switch(linter, file, stages)
        return
    before = next((command for command in commands if _name(command) == _SPLIT), commands[0])
    problem = f"is followed by no {_FLAG_TARGETS}, without which the pipeline passes over the {file} in silence"
    fix = f"add the line {_command_line(_FLAG_TARGETS)} behind its </ProcessingCommand>, or leave the {file} out"
    linter.error(before, _name(before), problem, fix)


def _ranges_are_kept(linter: _Linter, file: str, commands: Sequence[XmlElement]) -> None:
    for command in commands:
        if _name(command) == _CONTINUUM:
            problem = f"looks for the continuum itself, and may replace what stands in the {file}"
            fix = f"remove this whole <ProcessingCommand>, or leave the {file} out"
            linter.error(command, _CONTINUUM, problem, fix)


def _command_line(name: str) -> str:
    return f"<ProcessingCommand><Command>{name}</Command><ParameterSet/></ProcessingCommand>"


_DIALECTS: Mapping[str, _Dialect] = {
    VLA_CALIBRATION: _Dialect(
        subject="execution block",
        prefix="hifv",
        relative_path="DataSet/RelativePath",
        required={f"{_REQUEST}/DataSet": ("SdmIdentifier", "RelativePath")},
        data=_vla_data,
        files={FLAG_TEMPLATE: _flag_template_is_read},
    ),
    ALMA_IMAGING: _Dialect(
        subject="MOUS",
        prefix="hifa",
        relative_path=f"{SCHED_BLOCK}/RelativePath",
        required={
            "": ("ProjectStructure",),
            "ProjectStructure": (
                *("ObsUnitSetRef", "ObsUnitSetTitle", "ObsUnitSetType", "ProjectStatusRef", "OUSStatusRef"),
            ),
            f"{_REQUEST}/DataSet": ("SchedBlockSet",),
            f"{_REQUEST}/DataSet/SchedBlockSet": ("SchedBlockIdentifier",),
            f"{_REQUEST}/{SCHED_BLOCK}": ("RelativePath", "AsdmIdentifier"),
        },
        known={"DataSet": ("SchedBlockSet",), "AsdmIdentifier": ("AsdmRef", "AsdmDiskName")},
        data=_alma_data,
        stages=_alma_stages,
        files={TARGET_FLAGS: _target_flags_are_read, CONTINUUM_RANGES: _ranges_are_kept},
    ),
}


# --- helpers ------------------------------------------------------------------------------------------------------


def _name(command: XmlElement) -> str:
    return text_of(command.find("Command"))


def _check_switch(linter: _Linter, file: str, stages: Sequence[XmlElement]) -> None:
    """Notes that all stages that could read a template of flags are told not to."""
    if all(_last_value(stage, "template") == "False" for stage in stages):
        problem = f"is told by template=False not to read the {file}"
        linter.error(stages[0], _name(stages[0]), problem, f"remove the parameter, or leave the {file} out")


def _last_value(command: XmlElement, keyword: str) -> str | None:
    values = [
        text_of(parameter.find("Value"))
        for parameter in command.findall("ParameterSet/Parameter")
        if text_of(parameter.find("Keyword")) == keyword
    ]
    return values[-1] if values else None


def _as_whole(value: str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None


def _is_odd_number(value: str) -> bool:
    try:
        return not math.isfinite(float(value))
    except ValueError:
        return False


def _places(root: XmlElement, content: bytes) -> dict[XmlElement, tuple[int, int]]:
    """Returns line and column of each element; lxml keeps the line alone.

    Args:
        root: the document, read with every guard.
        content: the same document; it has no document type, so expat has nothing to expand.
    """
    found: list[tuple[int, int]] = []
    parser = expat.ParserCreate()

    def note(name: str, attributes: object) -> None:  # noqa: ARG001
        found.append((parser.CurrentLineNumber, parser.CurrentColumnNumber + 1))

    parser.StartElementHandler = note
    elements = list(root.iter("*"))
    try:
        parser.Parse(content, True)  # noqa: FBT003
    except (expat.ExpatError, LookupError, ValueError):
        found = []  # an encoding that expat does not know
    if len(found) != len(elements):
        found = [(line_of(element), 1) for element in elements]
    return dict(zip(elements, found, strict=True))
