"""The linter of a pipeline processing request (PPR): does it say to the pipeline what it says to a person?

What the pipeline reads is :mod:`srdp.domain.ppr.reader`'s to know; it is silent where it cannot make something out. The
rules of this module say of each difference where it is and what to write instead, and in the end the whole of both
readings is compared, so that a PPR that passes is read as it is meant. Every PPR is linted before CASA sees it, one
that an analyst edited and our own alike.

The families have most in common. What each has of its own, how it names its data, is a :class:`Dialect`; which stages
read which files is in :mod:`srdp.domain.analyst_files.names`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping

from srdp.domain.common.lint import Notes, Report
from srdp.domain.common.pipeline_values import Value, cast_text
from srdp.domain.common.safe_xml import UnreadableXml
from srdp.domain.ppr.comparison import NUMBER, differences, is_meant
from srdp.domain.ppr.dialects.alma import ALMA_DIALECT
from srdp.domain.ppr.dialects.dialect import Dialect, PprNotes
from srdp.domain.ppr.dialects.vla import VLA_DIALECT
from srdp.domain.ppr.document import is_below_root
from srdp.domain.ppr.inputs import PprDialect
from srdp.domain.ppr.markup import CDATA, ROOT, TEXT, Element, Node, parse_ppr, text_of
from srdp.domain.ppr.reader import (
    BREAKPOINT,
    DATA_PARAMETERS,
    SPECTRAL_MODE,
    TAKES_DATA,
    RequestRefused,
    read_ppr,
    value_of,
)
from srdp.domain.ppr.stage_names import PREFIXES, STAGES, is_misspelt, meant_stage
from srdp.domain.ppr.stage_problems import stage_problems
from srdp.domain.ppr.structure import (
    CONTAINERS,
    EXPORT,
    KNOWN,
    LEAVES,
    PLACES,
    REQUEST,
    REQUIRED,
    SINGLE,
    SPELLINGS,
    VALUES,
    command_name,
    stage_of,
)
from srdp.domain.ppr.subject import Subject

_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TITLE = re.compile(r"[A-Za-z0-9_.-]+")
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


class _Linter(PprNotes):
    """The rules for a document that can be read; see :class:`PprNotes` for its arguments."""

    def __init__(self, notes: Notes, subject: Subject) -> None:
        super().__init__(notes, subject)
        self._dialect = _DIALECTS[subject.inputs.dialect]

    def lint(self, root: Element, analyst_files: Collection[str]) -> None:
        """Note everything that is wrong in the document."""
        for path, names in (*REQUIRED.items(), *self._dialect.required.items()):
            parent = root.find(path) if path else root
            if parent is not None:
                self.require(parent, names)
        for element in root.iter():
            self._place(element)
            self._single_and_known(element)
            self._text(element)
        self._project(root)
        request = root.find(REQUEST)
        if request is not None:
            self._relative_path(request)
            self._title(request)
            self._intents(request)
            self._dialect.data(self, root, request)
            self._commands(request.findall("ProcessingProcedure/ProcessingCommand"), analyst_files)
        if not self._notes.report().findings:
            self._compare(root)

    # --- structure ------------------------------------------------------------------------------------------------

    def _place(self, element: Element) -> None:
        places = PLACES.get(element.tag)
        if places and element.path not in places and element.parent is not None:
            problem = f"is in a <{element.parent.tag}>, where the pipeline does not look for it"
            within = " or ".join(f"<{place.split('/')[-2] if '/' in place else ROOT}>" for place in places)
            self.error(element, element.tag, problem, f"move it into its {within}, or remove it")

    def _single_and_known(self, element: Element) -> None:
        seen: Counter[str] = Counter()
        known = {**KNOWN, **self._dialect.known}.get(element.tag)
        for child in element.children():
            name = child.tag
            seen[name] += 1
            meant = known or (() if name in SPELLINGS else sorted(tag for tag in SPELLINGS if is_misspelt(tag, name)))
            if name not in meant and meant:
                fix = f"write {' or '.join(f'<{word}>' for word in meant)}, or remove it"
                self.error(child, name, f"is not known in a <{element.tag}>, and the pipeline passes over it", fix)
            elif name in SINGLE and seen[name] > 1:
                problem = f"is there twice in its <{element.tag}>, and the pipeline's reader would find neither"
                self.error(child, name, problem, "keep one of them")

    def _text(self, element: Element) -> None:
        """Note a text that is not taken as it is meant."""
        becomes = {**LEAVES, **self._dialect.leaves}.get(element.path)
        if becomes is None:
            self._unexpected(element)
            return
        written = text_of(element)
        write = f"write <{element.tag}>{written}</{element.tag}> and nothing else in it"
        if len(element.nodes) > 1 or (element.nodes and value_of(element) is None):
            other = next(_kind(node) for node in element.nodes if _kind(node) != TEXT)
            self.error(element, written, f"has {other} in its <{element.tag}>, so that {becomes}", write)
        elif not written and element.nodes:
            fix = f"write <{element.tag}/>" if element.path in VALUES else "fill it in"
            problem = f"is a <{element.tag}> of nothing but blanks, which the pipeline takes for its text"
            self.error(element, written, problem, fix)
        elif not written and element.path not in VALUES:
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
            problem = f"has an invisible character in it (U+{ord(unseen):04X}), and the pipeline takes it"
            self.error(element, written, problem, "write it again")
        elif element.path not in VALUES and not isinstance(value, str):
            problem = f"is read as {value!r}, and the pipeline would end where it needs a text"
            self.error(element, written, problem, f"write a <{element.tag}> that is no number and no truth value")

    def _unexpected(self, element: Element) -> None:
        """Note a text between elements, which may have been meant as something."""
        if element.tag not in CONTAINERS:
            return
        for node in element.nodes:
            if isinstance(node, Node) and node.kind in {TEXT, CDATA} and node.data.strip():
                problem = f"is between the elements of a <{element.tag}>, where the pipeline passes over it"
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
        commands = [command for command in commands if command_name(command) != BREAKPOINT]
        if commands and not command_name(commands[-1]).endswith(EXPORT):
            self.error(
                commands[-1],
                command_name(commands[-1]),
                "is the last stage and no export, and the run would leave no products",
                f"end the recipe with a stage such as {self._dialect.prefix}{EXPORT}",
            )
        if self._dialect.stages is not None:
            self._dialect.stages(self, commands)
        for problem in stage_problems(self.subject.inputs, [stage_of(command) for command in commands], analyst_files):
            self.error(commands[problem.place], problem.value, problem.problem, problem.fix)

    def _command(self, command: Element, later: int) -> None:
        name = command_name(command)
        missing = next((tag for tag in ("Command", "ParameterSet") if command.find(tag) is None), "")
        if missing:
            self.error(
                command,
                name or command.tag,
                f"has no {missing}, and the pipeline would silently drop it and the {later} later stages",
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
        elif isinstance(cast, float) and not NUMBER.fullmatch(value):
            problem = f"would reach {whom} as the number {cast!r}"
            self.error(element, value[:80], problem, 'write the number in digits, or "…" around it if it is a name')
        elif not is_meant(value, cast):
            self.error(element, value[:80], f"would reach {whom} as the number {_short(cast)}", f"write {_short(cast)}")
        elif keyword == "field" and isinstance(cast, (bool, float)):
            problem = f"would reach {whom} as {cast!r}, which is the name of no field"
            self.error(element, value, problem, f'write "{value}" with the quotation marks')

    # --- both readings --------------------------------------------------------------------------------------------

    def _compare(self, root: Element) -> None:
        """Note where the pipeline reads something else than the file says, apart from the rules above."""
        try:
            reading = read_ppr(root, alma=self.subject.inputs.dialect is PprDialect.ALMA)
        except RequestRefused as refused:
            problem = f"makes the pipeline end before its first stage, because {refused}"
            self.error(refused.element, refused.element.tag, problem, "write it as the standard recipes do")
            return
        for element, meant, taken in differences(root, reading):
            self.error(
                element, meant, f"would be read as {taken!r} by the pipeline", "write it as the standard recipes do"
            )


_DIALECTS: Mapping[PprDialect, Dialect] = {PprDialect.VLA: VLA_DIALECT, PprDialect.ALMA: ALMA_DIALECT}


def _kind(node: Element | Node) -> str:
    return f"a <{node.tag}>" if isinstance(node, Element) else node.kind


def _short(value: Value) -> str:
    return f"{value!r}"[:40]
