"""The linter of ``flagtemplate.txt`` and ``flagtargetstemplate.txt``: flag commands of an analyst, one a line.

CASA takes such a line apart at its blanks and equals signs and aborts the whole task on a key or a type that it does
not know. Other mistakes it passes over: of a key that is there twice the last wins, an unknown mode flags nothing, a
parameter of another mode has no effect. A line that would not do what it says is refused here either way.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from srdp.domain.analyst_files import FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.flag_parameters import KNOWN, MODES, SELECTORS, Kind, Parameter
from srdp.domain.lint import Finding, Notes, Report, numbered_lines, read_text
from srdp.domain.selections import Observed

# Between a key and its value there is an equals sign, in quotes and brackets there may be blanks.
_ASSIGNMENT = re.compile(
    r"""(?P<key>[A-Za-z_][A-Za-z0-9_]*)(?P<before>[ ]*)=(?P<after>[ ]*)
        (?P<value>'[^']*'|"[^"]*"|\[[^'"]*?\](?=[ ]|$)|\{.*\}(?=[ ]|$)|[^ ]*)""",
    re.VERBOSE,
)
_NEXT_ASSIGNMENT = re.compile(r" (?=[A-Za-z_][A-Za-z0-9_]* *=)")
_STRAY = re.compile(r"[^ ]+")
_CLOSED_QUOTE = re.compile(r"""'[^'"]*'|"[^'"]*\"""")
_SPLITTING_BLANK = re.compile(r" (?=[^ ]*=)")
_ODD_CHARACTER = re.compile(r"[^\x20-\x7e]")
# Longer literals are none that a person wrote; Python's parser is not asked about them.
_LONGEST_LITERAL = 2000
_KINDS: Mapping[type, Kind] = {
    str: Kind.TEXT,
    int: Kind.WHOLE,
    float: Kind.REAL,
    bool: Kind.TRUTH,
    list: Kind.LIST,
    dict: Kind.MAPPING,
}
_TRUTHS: Mapping[str, bool] = {"True": True, "true": True, "False": False, "false": False}
# Neither template is applied to data that have these columns.
_LATER_COLUMNS = frozenset({"CORRECTED", "MODEL", "RESIDUAL", "RESIDUAL_DATA"})


@dataclass(frozen=True, kw_only=True)
class FlagTemplate:
    """Which file of flag commands a pipeline reads, and which it does not.

    Attributes:
        name: the file's name, as people use it.
        unread: the name of the file that it passes over, with whatever stands before it.
        unread_problem: what a person is told of that one.
        unread_fix: what to do instead.
        column_problem: what a person is told of a column that the data do not have when the flags are applied.
        column_fix: what to do instead.
    """

    name: str
    unread: str
    unread_problem: str
    unread_fix: str
    column_problem: str
    column_fix: str

    def passes_over(self, name: str) -> bool:
        """Returns whether a file's name or path is that of the file which the pipeline does not read."""
        return PurePosixPath(name).name.endswith(self.unread)

    def passed_over(self, file: str) -> Finding:
        """Returns the finding that a file would not be read."""
        return Finding(file, 1, 1, PurePosixPath(file).name, self.unread_problem, self.unread_fix)


#: What a calibration of the VLA reads: flags of everything, applied before anything is calibrated.
VLA_FLAGS: Final = FlagTemplate(
    name=FLAG_TEMPLATE,
    unread=TARGET_FLAGS,
    unread_problem="is not read by the VLA pipeline",
    unread_fix="put target flags into flagtemplate.txt",
    column_problem="is a column that the data have only once they are calibrated",
    column_fix="write 'data' if the flags are applied before that",
)
#: What an imaging of ALMA data reads: flags of the targets, applied to their calibrated data, split from all others.
ALMA_TARGET_FLAGS: Final = FlagTemplate(
    name=TARGET_FLAGS,
    unread=FLAG_TEMPLATE,
    unread_problem="is not read when ALMA data are imaged: their calibration is restored as it was",
    unread_fix="put flags of the targets into flagtargetstemplate.txt",
    column_problem="is a column that the targets' data do not have, as they were split from the others",
    column_fix="write 'data', which there holds the calibrated data",
)


def is_target_template(name: str) -> bool:
    """Returns whether a file's name is that of ALMA's template of target flags, which the VLA pipeline does not read.

    Args:
        name: a name or a path.
    """
    return VLA_FLAGS.passes_over(name)


def holds_commands(content: bytes) -> bool:
    """Returns whether a file has more than comments: CASA itself leaves templates that have nothing else.

    Args:
        content: the file's bytes.
    """
    return any(line.strip() and not line.startswith(b"#") for line in content.splitlines())


def lint_flag_commands(
    content: bytes,
    *,
    file: str | None = None,
    observed: Observed | None = None,
    template: FlagTemplate = VLA_FLAGS,
) -> Report:
    """Lints a file of flag commands.

    Args:
        content: the file's bytes.
        file: what the person calls the file, a name or a path; the name that the pipeline reads if it is not given.
        observed: the observation that is flagged; what is None or empty in it is not compared.
        template: which file the pipeline reads.

    Returns:
        Everything that was found; a file without any command has a warning.
    """
    file = template.name if file is None else file
    text, notes = read_text(content, file)
    if template.passes_over(file):
        notes.error(1, 1, PurePosixPath(file).name, template.unread_problem, template.unread_fix)
    if text is None:
        return notes.report()
    commands = 0
    for number, line in numbered_lines(text):
        # A carriage return ends a line for CASA: what comes behind it is a command.
        if line.strip(" ") and (not line.startswith("#") or "\r" in line):
            _Line(notes, number, line, observed or Observed(), template, first=not commands).lint()
            commands += 1
    if not commands:
        notes.warn(1, 1, PurePosixPath(file).name, "holds no command", "add one, or leave the file out")
    return notes.report()


@dataclass(frozen=True)
class _Assignment:
    """A ``KEY=VALUE`` of a line.

    Attributes:
        key: the key.
        column: where it begins.
        raw: the value as it stands in the line, quotes included.
        value_column: where that begins.
    """

    key: str
    column: int
    raw: str
    value_column: int


class _Line:
    """One line with its command.

    Args:
        notes: where findings go.
        number: the line's number.
        text: the line, without its end.
        observed: see :func:`lint_flag_commands`.
        template: likewise.
        first: whether no other command stands before it.
    """

    def __init__(
        self, notes: Notes, number: int, text: str, observed: Observed, template: FlagTemplate, *, first: bool
    ) -> None:
        self._notes = notes
        self._number = number
        self._text = text.rstrip(" ")
        self._observed = observed
        self._template = template
        self._first = first
        self._is_wrong = False

    def lint(self) -> None:
        """Notes everything that is wrong in the line."""
        odd = list(_ODD_CHARACTER.finditer(self._text))
        for match in odd:
            fix = "type it anew, with plain quotes and blanks"
            self._error(match.start() + 1, match[0], "is no character of a flag command", fix)
        if odd:
            return
        assignments = self._unique(self._assignments())
        mode = self._mode(assignments)
        for key, assignment in assignments.items():
            if key != "mode":
                self._check(assignment, mode)
        if mode == "antint" and "antint_ref_antenna" not in assignments:
            self._error(1, "mode='antint'", "does nothing without a reference", "add antint_ref_antenna='ea01'")
        if mode == "manual" and not self._is_wrong and not any(map(_selects, assignments.values())):
            fix = "name what is bad, for example antenna='ea01', or remove the line"
            self._error(1, self._text, "selects nothing, so that all data would be flagged", fix)

    # --- grammar --------------------------------------------------------------------------------------------------

    def _assignments(self) -> list[_Assignment]:
        found = []
        position = self._blanks(0, allowed=0)
        while position < len(self._text):
            match = _ASSIGNMENT.match(self._text, position)
            if match is None:
                position = self._stray(position)
                continue
            found.append(_Assignment(match["key"], match.start("key") + 1, match["value"], match.start("value") + 1))
            self._equals(match)
            position = self._behind(match.end())
        return found

    def _blanks(self, position: int, allowed: int) -> int:
        """Returns where the blanks end that begin at a position; more than are allowed are noted."""
        end = position
        while self._text[end : end + 1] == " ":
            end += 1
        if end - position > allowed:
            self._error(
                position + allowed + 1,
                " " * (end - position - allowed),
                "is too many blanks",
                "begin the line with a key or #" if position == 0 else "leave exactly one between two pairs",
            )
        return end

    def _equals(self, match: re.Match[str]) -> None:
        if match["before"] or match["after"]:
            self._error(
                match.start("before") + 1,
                match[0][len(match["key"]) : match.start("value") - match.start()],
                "has blanks around the equals sign",
                f"write {match['key']}={match['value'] or '...'}",
            )

    def _behind(self, position: int) -> int:
        """Returns where the next pair may begin, behind the value that ends at a position."""
        if position < len(self._text) and self._text[position] != " ":
            stray = _STRAY.match(self._text, position)
            end = stray.end() if stray else position + 1
            self._error(
                position + 1,
                self._text[position:end],
                "follows a value without a blank",
                "write one blank between pairs",
            )
            position = end
        return self._blanks(position, allowed=1)

    def _stray(self, position: int) -> int:
        following = _NEXT_ASSIGNMENT.search(self._text, position)
        end = following.start() if following else len(self._text)
        value = self._text[position:end].rstrip(" ")
        if value.startswith("#"):
            self._error(position + 1, value, "is a comment behind a command", "give the comment a line of its own")
            return len(self._text)
        self._error(
            position + 1, value, "is not KEY=VALUE", "write for example antenna='ea01', without blanks around ="
        )
        return self._blanks(end, allowed=1)

    def _unique(self, assignments: list[_Assignment]) -> dict[str, _Assignment]:
        unique: dict[str, _Assignment] = {}
        for assignment in assignments:
            if assignment.key in unique:
                self._error(
                    assignment.column,
                    assignment.key,
                    "is there twice, of which CASA takes the last",
                    "keep one of them",
                )
            unique[assignment.key] = assignment
        return unique

    # --- values ---------------------------------------------------------------------------------------------------

    def _mode(self, assignments: Mapping[str, _Assignment]) -> str | None:
        """Returns the line's mode, or None if it has one that is not known."""
        assignment = assignments.get("mode")
        if assignment is None:
            return "manual"
        value = self._value(assignment, Parameter((Kind.TEXT,)))
        if value is None:
            return None
        if value not in MODES:
            self._error(
                assignment.value_column,
                value,
                "is the mode of the list itself" if value == "list" else "is no mode of flagdata",
                f"choose from {', '.join(MODES)}",
            )
            return None
        return str(value)

    def _check(self, assignment: _Assignment, mode: str | None) -> None:
        key = assignment.key
        if key not in KNOWN:
            similar = [known for known in (*sorted(KNOWN), "mode") if known.lower() == key.lower()]
            fix = f"write {similar[0]}" if similar else "remove it or correct its name"
            self._error(assignment.column, key, "is no parameter of a flag command", fix)
            return
        parameter = SELECTORS.get(key) or MODES.get(mode or "", {}).get(key)
        if parameter is None:
            if mode is not None:
                owners = ", ".join(name for name, parameters in MODES.items() if key in parameters)
                self._error(
                    assignment.column,
                    key,
                    f"has no effect in mode='{mode}'",
                    f"remove it, or choose the mode: {owners}",
                )
            return
        value = self._value(assignment, parameter)
        if value is not None and value != "":
            self._check_value(assignment, parameter, value)

    def _check_value(self, assignment: _Assignment, parameter: Parameter, value: Any) -> None:  # noqa: ANN401
        quote = isinstance(value, str)
        for fault in parameter.check(value, self._observed):
            self._error(assignment.value_column + quote + fault.offset, fault.value, fault.problem, fault.fix)
        if assignment.key == "quackincrement" and value is True and not self._first:
            self._error(
                assignment.value_column,
                assignment.raw,
                "makes CASA ignore a command that is not the first",
                "move the line to the beginning, or write False",
            )
        if assignment.key == "datacolumn" and value.upper() in _LATER_COLUMNS:
            self._notes.warn(
                self._number,
                assignment.value_column + quote,
                value,
                self._template.column_problem,
                self._template.column_fix,
            )

    def _value(self, assignment: _Assignment, parameter: Parameter) -> Any:  # noqa: ANN401
        """Returns the value as CASA reads it, or None, noted, if it is none of the parameter's types."""
        raw, column = assignment.raw, assignment.value_column
        if raw[:1] in {"'", '"'}:
            return self._quoted(assignment, parameter)
        value = _literal(raw)
        if value is not None and _KINDS[type(value)] in parameter.kinds:
            return value
        kinds = " or ".join(parameter.kinds)
        if not raw:
            self._error(column, assignment.key, "has no value", f"write {kinds}")
        elif Kind.TEXT in parameter.kinds and raw[0] not in "[{":
            self._error(column, raw, "is not in quotes", f"write {assignment.key}='{raw.strip(_QUOTES)[:60]}'")
        elif type(value) is int and Kind.REAL in parameter.kinds:
            self._error(column, raw, f"is not {kinds}, CASA would stop", f"write {assignment.key}={raw[:30]}.0")
        else:
            self._error(column, raw, f"is not {kinds}", f"write {kinds}")
        return None

    def _quoted(self, assignment: _Assignment, parameter: Parameter) -> str | None:
        raw, column, key = assignment.raw, assignment.value_column, assignment.key
        if not _CLOSED_QUOTE.fullmatch(raw):
            self._error(column, raw, "has a quote too few or too many", f"write {key}='...' and no quote inside")
            return None
        value = raw[1:-1]
        if Kind.TEXT not in parameter.kinds:
            self._error(
                column, raw, f"is not {' or '.join(parameter.kinds)}", f"write {key}={value[:60]} without quotes"
            )
            return None
        if key == "reason" and " " in value:
            self._error(
                column + 1 + value.index(" "), value, "has a blank in it", f"write '{value.replace(' ', '_')[:60]}'"
            )
        elif blank := _SPLITTING_BLANK.search(value):
            self._error(
                column + 1 + blank.start(), value, "has a blank before =, where CASA parts the line", "remove the blank"
            )
        elif key != "reason" and (truth := re.search("true|false", value)):
            self._error(
                column + 1 + truth.start(),
                value,
                "has a word in it that CASA writes with a capital before it reads the line",
                "select it in another way, for example by its number or with a *",
            )
        return value

    def _error(self, column: int, value: object, problem: str, fix: str) -> None:
        self._is_wrong = True
        self._notes.error(self._number, column, value, problem, fix)


_QUOTES = "'\""


def _selects(assignment: _Assignment) -> bool:
    """Returns whether a pair of a line with ``mode='manual'`` keeps it from flagging everything."""
    if assignment.key == "autocorr":
        return _TRUTHS.get(assignment.raw) is True
    return assignment.key not in {"mode", "reason"} and bool(assignment.raw.strip(_QUOTES))


def _literal(raw: str) -> Any:  # noqa: ANN401
    """Returns what CASA makes of a value that is not in quotes; None if that is text or nothing good."""
    if raw in _TRUTHS:
        return _TRUTHS[raw]
    if raw[:1] in {"[", "{"}:
        return _container(raw)
    for kind in (int, float):
        try:
            value = kind(raw)
        except ValueError:
            continue
        return value if "_" not in raw and math.isfinite(value) else None
    return None


def _container(raw: str) -> list[Any] | dict[Any, Any] | None:
    """Returns a list or a dictionary of constants; CASA would run anything else in braces as Python."""
    if len(raw) > _LONGEST_LITERAL:
        return None
    try:
        value = ast.literal_eval(raw)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, list | dict) else None
