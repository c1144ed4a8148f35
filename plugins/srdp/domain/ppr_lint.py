"""The linter of a VLA pipeline processing request (PPR): does it say to the pipeline what it says to a person?

The pipeline's reader is silent. It drops a command that it cannot make out, with every later one, passes over what it
does not know, takes the first of two elements and the last of two keywords, casts values, and returns normally when
nothing is left to do. Every PPR is linted before CASA sees it, one that an analyst edited and our own alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from xml.parsers import expat

from srdp.domain.identifiers import ExecutionBlockName, project_of
from srdp.domain.lint import Notes, Report
from srdp.domain.ppr import is_below_root, is_kept, text_of
from srdp.domain.safe_xml import UnreadableXml, XmlElement, line_of, parse_xml

_ROOT = "SciPipeRequest"
#: What the pipeline's reader asks for, by the path of the parent; it fails without.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "": ("ProjectSummary", "ProcessingRequests"),
    "ProjectSummary": ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode"),
    "ProcessingRequests": ("ProcessingRequest",),
    "ProcessingRequests/ProcessingRequest": ("ProcessingIntents", "ProcessingProcedure", "DataSet"),
    "ProcessingRequests/ProcessingRequest/ProcessingProcedure": ("ProcessingCommand",),
    "ProcessingRequests/ProcessingRequest/DataSet": ("SdmIdentifier", "RelativePath"),
}
#: Of these there is one in its parent: the reader takes the first and passes over the others.
_SINGLE = frozenset(
    {
        *("ProjectSummary", "ProcessingRequests", "ProcessingRequest"),
        *("ProcessingIntents", "ProcessingProcedure", "DataSet", "RelativePath"),
        *("ProcedureTitle", "Command", "ParameterSet", "Keyword", "Value"),
    }
)
#: What the reader knows within a recipe; a misspelt element would be a stage or a parameter that is not there.
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "ProcessingProcedure": ("ProcedureTitle", "ProcessingCommand"),
    "ProcessingCommand": ("Command", "ParameterSet"),
    "ParameterSet": ("Parameter",),
    "Parameter": ("Keyword", "Value"),
}
#: A file of the analyst that only some stages read: how their names end, and the parameter that switches it off.
_READERS: Mapping[str, tuple[str, str]] = {"flagtemplate.txt": ("_flagdata", "template")}
_EXPORT = "_exportdata"


def lint_processing_request(
    content: bytes,
    *,
    execution_block: ExecutionBlockName,
    file: str = "PPR.xml",
    analyst_files: Collection[str] = (),
) -> Report:
    """Lints the PPR of a VLA calibration.

    Args:
        content: the file's bytes.
        execution_block: the EB that the run is for.
        file: what the person calls the file, a name or a path.
        analyst_files: which files of the analyst are given with it, by the names that the analyst uses, for example
            ``flagtemplate.txt``; one that no stage of the PPR reads is a finding.
    """
    notes = Notes(file, content.decode("utf-8", errors="replace"))
    try:
        root = parse_xml(content, file, root=_ROOT)
    except UnreadableXml as error:
        notes.error(error.line, error.column, file, error.problem, error.fix)
        return notes.report()
    _Linter(notes, _places(root, content), execution_block).lint(root, analyst_files)
    return notes.report()


class _Linter:
    """The rules for a document that can be read.

    Args:
        notes: where findings go.
        places: line and column of each element.
        execution_block: the EB that the run is for.
    """

    def __init__(
        self, notes: Notes, places: Mapping[XmlElement, tuple[int, int]], execution_block: ExecutionBlockName
    ) -> None:
        self._notes = notes
        self._places = places
        self._execution_block = execution_block

    def lint(self, root: XmlElement, analyst_files: Collection[str]) -> None:
        """Notes everything that is wrong in the document."""
        for path, names in _REQUIRED.items():
            parent = root.find(path) if path else root
            if parent is not None:
                self._require(parent, names)
        for element in root.iter("*"):
            self._single_and_known(element)
        self._summary(root)
        request = root.find("ProcessingRequests/ProcessingRequest")
        if request is None:
            return
        self._data_set(request)
        self._commands(request.findall("ProcessingProcedure/ProcessingCommand"), analyst_files)

    # --- structure ------------------------------------------------------------------------------------------------

    def _require(self, parent: XmlElement, names: Iterable[str]) -> None:
        for name in names:
            if parent.find(name) is None:
                self._error(parent, parent.tag, f"has no <{name}>", f"add one to the <{parent.tag}>")

    def _single_and_known(self, element: XmlElement) -> None:
        seen: Counter[str] = Counter()
        known = _KNOWN.get(str(element.tag))
        for child in element.iterchildren("*"):
            name = str(child.tag)
            seen[name] += 1
            if known is not None and name not in known:
                fix = f"write {' or '.join(f'<{word}>' for word in known)}, or remove it"
                self._error(child, name, f"is not known in a <{element.tag}>, and the pipeline passes over it", fix)
            elif name in _SINGLE and seen[name] > 1:
                problem = f"is there twice in its <{element.tag}>, of which the pipeline takes the first"
                self._error(child, name, problem, "keep one of them")

    def _summary(self, root: XmlElement) -> None:
        summary = root.find("ProjectSummary")
        if summary is None:
            return
        for child in summary.iterchildren("*"):
            if not text_of(child):
                self._warn(child, child.tag, "is empty", "fill it in")
        project = project_of(self._execution_block)
        code = summary.find("ProposalCode")
        if code is not None and text_of(code) not in {"", project}:
            self._warn(code, text_of(code), "is not the execution block's project", f"write {project}")

    # --- data -----------------------------------------------------------------------------------------------------

    def _data_set(self, request: XmlElement) -> None:
        sdms = request.findall("DataSet/SdmIdentifier")
        for number, sdm in enumerate(sdms):
            if text_of(sdm) != self._execution_block:
                problem = "is not the execution block of this run"
                self._error(sdm, text_of(sdm), problem, f"name {self._execution_block} alone")
            elif number:
                problem = "is named in a second SdmIdentifier, and the pipeline would then process none"
                self._error(sdm, text_of(sdm), problem, "keep one SdmIdentifier")
        relative_path = request.find("DataSet/RelativePath")
        if relative_path is not None and not is_below_root(text_of(relative_path)):
            self._error(
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
            self._error(
                commands[-1],
                text_of(commands[-1].find("Command")),
                "is the last stage and no export, and the run would leave no products",
                f"end the recipe with a stage such as hifv{_EXPORT}",
            )
        for file in analyst_files:
            self._reader(file, commands)

    def _command(self, command: XmlElement, later: int) -> None:
        name = text_of(command.find("Command"))
        if not is_kept(command):
            missing = "no ParameterSet" if name else "no Command"
            self._error(
                command,
                name or command.tag,
                f"has {missing}, and the pipeline would drop it and the {later} later stages in silence",
                "add <ParameterSet/>" if name else "name its <Command>, or remove the <ProcessingCommand>",
            )
        keywords: Counter[str] = Counter()
        for parameter in command.findall("ParameterSet/Parameter"):
            self._require(parameter, ("Keyword", "Value"))
            keyword = text_of(parameter.find("Keyword"))
            keywords[keyword] += 1
            if not keyword:
                self._error(parameter, keyword, f"is no keyword of {name or 'the stage'}", "name the parameter")
            elif keywords[keyword] > 1:
                problem = f"is given {keywords[keyword]} times to {name or 'the stage'}, of which the last wins"
                self._error(parameter, keyword, problem, "keep one of them")
            self._value(parameter, keyword)

    def _value(self, parameter: XmlElement, keyword: str) -> None:
        """Notes a value that the reader's casting turns into something else."""
        element = parameter.find("Value")
        value = text_of(element)
        place = parameter if element is None else element
        if value == "None":
            problem = f"would reach {keyword or 'the stage'} as the text 'None'"
            self._error(place, value, problem, "remove the parameter, and the stage takes its default")
        elif value in {"true", "false"}:
            problem = f"would reach {keyword or 'the stage'} as text"
            self._warn(place, value, problem, f"write {value.capitalize()} if a truth value is meant")
        elif (whole := _as_whole(value)) is not None and str(whole) != value.removeprefix("+"):
            problem = f"would reach {keyword or 'the stage'} as the number {str(whole)[:40]}"
            self._error(place, value, problem, f"write {str(whole)[:40]}")
        elif _is_odd_number(value):
            problem = f"may reach {keyword or 'the stage'} as a number, not as text"
            self._warn(place, value, problem, "see in the weblog what the stage made of it")

    def _reader(self, file: str, commands: list[XmlElement]) -> None:
        if file not in _READERS or not commands:
            return
        ending, switch = _READERS[file]
        stages = [command for command in commands if text_of(command.find("Command")).endswith(ending)]
        if not stages:
            problem = f"has no stage that reads the {file} (its name ends in {ending})"
            self._error(commands[0], "ProcessingProcedure", problem, f"add one, or leave the {file} out")
        elif all(_last_value(stage, switch) == "False" for stage in stages):
            problem = f"is told by {switch}=False not to read the {file}"
            name = text_of(stages[0].find("Command"))
            self._error(stages[0], name, problem, f"remove the parameter, or leave the {file} out")

    def _error(self, element: XmlElement, value: object, problem: str, fix: str) -> None:
        self._notes.error(*self._places[element], value, problem, fix)

    def _warn(self, element: XmlElement, value: object, problem: str, fix: str) -> None:
        self._notes.warn(*self._places[element], value, problem, fix)


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
