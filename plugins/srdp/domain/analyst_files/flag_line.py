"""One line of flag commands, taken apart as CASA does it, and what is wrong in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from srdp.domain.analyst_files.flag_parameters import KNOWN, MODES, SELECTORS, Kind, Parameter
from srdp.domain.analyst_files.flag_templates import FlagTemplate
from srdp.domain.analyst_files.flag_values import QUOTES, TRUTHS, literal_value, text_value
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.common.lint import Notes

_STARTS = re.compile(r"[^ ]+")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_COMMENT = re.compile(r"(?<= )#.*")
_ODD_CHARACTER = re.compile(r"[^\x20-\x7e]")
_KINDS: Mapping[type, Kind] = {
    str: Kind.TEXT,
    int: Kind.WHOLE,
    float: Kind.REAL,
    bool: Kind.TRUTH,
    list: Kind.LIST,
    dict: Kind.MAPPING,
}
# Neither template is applied to data that have these columns.
_LATER_COLUMNS = frozenset({"CORRECTED", "MODEL", "RESIDUAL", "RESIDUAL_DATA"})


@dataclass(frozen=True)
class _Assignment:
    """A ``KEY=VALUE`` of a line.

    Attributes:
        key: the key.
        column: where it begins.
        raw: the value as it stands in the line, quotes and blanks around it included.
        value_column: where that begins.
        parted: whether CASA would not take the value as one; that is noted already.
    """

    key: str
    column: int
    raw: str
    value_column: int
    parted: bool = False

    @property
    def open_quote(self) -> str:
        """The quote that begins the value and does not end in it; empty if there is none."""
        quote = self.raw.strip(" ")[:1]
        return quote if quote in {"'", '"'} and self.raw.count(quote) % 2 else ""

    def holds(self, position: int) -> bool:
        """Return whether a position in the line, from 0, is in the value."""
        return self.value_column - 1 <= position < self.value_column - 1 + len(self.raw)


class FlagLine:
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
        self._text = text.rstrip(" \t")
        self._begin = len(self._text) - len(self._text.lstrip(" \t"))
        self._observed = observed
        self._template = template
        self._first = first
        self._is_wrong = False
        self._old_style: dict[str, tuple[int, str]] = {}

    def lint(self) -> None:
        """Note everything that is wrong in the line."""
        found = self._assignments()
        if not self._of_good_characters(found):
            return
        assignments = self._unique([each for each in found if self._is_pair(each)])
        mode = self._mode(assignments)
        for key, assignment in assignments.items():
            if key != "mode":
                self._check(assignment, mode)
        self._spacing(found)
        if mode == "antint" and "antint_ref_antenna" not in assignments:
            self._error(1, "mode='antint'", "does nothing without a reference", "add antint_ref_antenna='ea01'")
        if mode == "manual" and not self._is_wrong and not any(map(_selects, assignments.values())):
            fix = "name what is bad, for example antenna='ea01', or remove the line"
            self._error(1, self._text, "selects nothing, so that all data would be flagged", fix)

    # --- grammar --------------------------------------------------------------------------------------------------

    def _assignments(self) -> list[_Assignment]:
        """Take the line apart as CASA does: at each blank that is followed by an equals sign before the next blank.

        What was meant as one, because a quote encloses it, is given as one, and noted.
        """
        found: list[_Assignment] = []
        for match in _STARTS.finditer(self._text, self._begin):
            key, equals, _ = match[0].partition("=")
            if equals:
                value = match.start() + len(key) + 1
                found.append(_Assignment(key, match.start() + 1, "", value + 1))
        unexpected = self._text[self._begin : found[0].column - 1 if found else None].rstrip(" ")
        if unexpected:
            fix = "write for example antenna='ea01', without blanks around ="
            self._error(self._begin + 1, unexpected, "is not KEY=VALUE", fix)
        return self._joined(found)

    def _joined(self, found: list[_Assignment]) -> list[_Assignment]:
        joined: list[_Assignment] = []
        for each, following in itertools.pairwise([*found, None]):
            if each is None:
                break
            end = len(self._text) if following is None else following.column - 2
            raw = self._text[each.value_column - 1 : end]
            if joined and (quote := joined[-1].open_quote) and raw.count(quote) % 2:
                before = joined.pop()
                raw = self._text[before.value_column - 1 : end]
                blank = self._text.rindex(" ", 0, each.column)
                value = raw.strip(" ").strip(quote)
                problem = "has a blank before =, where CASA splits the line"
                self._error(blank + 1, value, problem, "remove the blank")
                joined.append(replace(before, raw=f"{quote}{quote}", parted=True))
            else:
                joined.append(replace(each, raw=raw))
        return joined

    def _of_good_characters(self, found: list[_Assignment]) -> bool:
        reasons = [each for each in found if each.key == "reason"]
        good = True
        for match in _ODD_CHARACTER.finditer(self._text, self._begin):
            if any(each.holds(match.start()) for each in reasons) and (match[0].isprintable() or match[0] == "\t"):
                self._old_style.setdefault("reason", (match.start() + 1, match[0]))
                continue
            good = False
            fix = "type it again, with plain quotes and blanks"
            self._error(match.start() + 1, match[0], "is no character of a flag command", fix)
        return good

    def _is_pair(self, each: _Assignment) -> bool:
        if _KEY.fullmatch(each.key):
            return True
        if each.key:
            fix = "write for example antenna='ea01', without blanks around ="
            self._error(each.column, f"{each.key}={each.raw.rstrip(' ')}", "is not KEY=VALUE", fix)
            return False
        before = self._text[: each.column - 1]
        word = before.rstrip(" ").rpartition(" ")[2]
        value = each.raw.strip(" ")
        blanks = len(before) - len(before.rstrip(" "))
        behind = len(each.raw) - len(each.raw.lstrip(" "))
        self._error(
            each.column - blanks,
            f"{' ' * blanks}={' ' * behind}",
            "has blanks around the equals sign",
            f"write {word}={value or '...'}",
        )
        return False

    def _spacing(self, found: list[_Assignment]) -> None:
        """Warns of what older releases of CASA do not take: they want a form that is stricter."""
        if self._begin:
            self._old_style["begin"] = (1, self._text[: self._begin])
        for match in itertools.islice(self._blanks(found), 1):
            self._old_style["blanks"] = (match.start() + 2, match[0][1:])
        for what, (column, value) in self._old_style.items():
            self._odd(column, value, *_OLD_STYLE[what])

    def _blanks(self, found: list[_Assignment]) -> Iterator[re.Match[str]]:
        """Yield where there are several blanks between two pairs."""
        columns = {each.column - 1 for each in found}
        return (match for match in re.finditer("  +", self._text) if match.end() in columns)

    def _unique(self, assignments: list[_Assignment]) -> dict[str, _Assignment]:
        unique: dict[str, _Assignment] = {}
        for assignment in assignments:
            if assignment.key in unique:
                self._error(
                    assignment.column,
                    assignment.key,
                    "is there twice, and CASA takes the last",
                    "keep one of them",
                )
            unique[assignment.key] = assignment
        return unique

    # --- values ---------------------------------------------------------------------------------------------------

    def _mode(self, assignments: Mapping[str, _Assignment]) -> str | None:
        """Return the line's mode, or None if it has one that is not known."""
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
        quote = assignment.raw.lstrip(" ")[:1] in {"'", '"'}
        begin = assignment.value_column + len(assignment.raw) - len(assignment.raw.lstrip(" ")) + quote
        for fault in parameter.check(value, self._observed):
            note = self._odd if fault.only_odd else self._error
            note(begin + fault.offset, fault.value, fault.problem, fault.fix)
        if assignment.key == "quackincrement" and value is True and not self._first:
            self._error(
                assignment.value_column,
                assignment.raw.strip(" "),
                "makes CASA ignore a command that is not the first",
                "move the line to the beginning, or write False",
            )
        if assignment.key == "datacolumn" and value.upper() in _LATER_COLUMNS:
            self._odd(begin, value, self._template.column_problem, self._template.column_fix)

    def _value(self, assignment: _Assignment, parameter: Parameter) -> Any:  # noqa: ANN401
        """Return the value as CASA reads it, or None, noted, if it is none of the parameter's types."""
        raw = assignment.raw.strip(" ")
        column = assignment.value_column + len(assignment.raw) - len(assignment.raw.lstrip(" "))
        if assignment.parted:
            return ""
        if not raw:
            kinds = " or ".join(parameter.kinds)
            self._error(assignment.value_column, assignment.key, "has no value", f"write {kinds}")
            return None
        if (quoted := _QUOTED.match(raw)) and not self._ends_there(assignment, column, raw, quoted.end()):
            return None
        value = literal_value(raw)
        if value is None and Kind.TEXT in parameter.kinds and raw[0] not in "[{":
            return self._text_value(assignment, column, raw)
        if value is not None and _KINDS[type(value)] in parameter.kinds:
            return value if self._is_bare(assignment, column, raw, value) else None
        self._wrong_kind(assignment, parameter, column, raw, value)
        return None

    def _ends_there(self, assignment: _Assignment, column: int, raw: str, end: int) -> bool:
        """Return whether nothing follows a quoted value, or what follows belongs to it for CASA."""
        behind = raw[end:]
        if comment := _COMMENT.search(behind):
            fix = "give the comment a line of its own"
            if assignment.key != "reason":
                self._error(column + end + comment.start(), comment[0], "is a comment behind a command", fix)
                return False
            self._old_style.setdefault("reason", (column + end + comment.start(), comment[0]))
        elif "=" in behind and not behind.startswith(" "):
            fix = "write one blank between pairs"
            self._error(column + end, behind.partition(" ")[0], "follows a value without a blank", fix)
            return False
        elif behind.startswith(" ") and assignment.key != "reason":
            fix = "write for example antenna='ea01', without blanks around ="
            words = behind.strip(" ")
            self._error(column + end + len(behind) - len(behind.lstrip(" ")), words, "is not KEY=VALUE", fix)
            return False
        return True

    def _text_value(self, assignment: _Assignment, column: int, raw: str) -> str | None:
        value, key = text_value(raw), assignment.key
        is_quoted = _QUOTED.fullmatch(raw) and value == raw[1:-1].strip(" \t")
        if not is_quoted and not (key == "reason" and key in self._old_style):
            self._old_style.setdefault("quotes", (column, raw))
        if assignment.raw.startswith(" "):
            self._old_style.setdefault("equals", (assignment.value_column, " "))
        if key == "reason":
            if " " in value:
                self._old_style.setdefault("reason", (column, value))
        elif truth := re.search("true|false", value):
            self._error(
                column + raw.index(truth[0]),
                value,
                "has a word in it that CASA writes with a capital before it reads the line",
                "select it in another way, for example by its number or with a *",
            )
            return None
        return value

    def _is_bare(self, assignment: _Assignment, column: int, raw: str, value: object) -> bool:
        """Return whether a value has no blanks around it that make it text for CASA."""
        leads = assignment.raw.startswith(" ")
        if (leads and isinstance(value, list | dict)) or (assignment.raw != raw and isinstance(value, bool)):
            fix = f"write {assignment.key}={raw[:60]} with one blank behind it"
            self._error(column, raw, "has blanks around it that make it text for CASA", fix)
            return False
        if leads:
            self._old_style.setdefault("equals", (assignment.value_column, " "))
        return True

    def _wrong_kind(self, assignment: _Assignment, parameter: Parameter, column: int, raw: str, value: object) -> None:
        key, kinds = assignment.key, " or ".join(parameter.kinds)
        if _QUOTED.fullmatch(raw):
            self._error(column, raw, f"is not {kinds}", f"write {key}={raw[1:-1][:60]} without quotes")
        elif Kind.TEXT in parameter.kinds and raw[0] not in "[{":
            self._error(column, raw, "is not in quotes", f"write {key}='{raw.strip(QUOTES)[:60]}'")
        elif type(value) is int and Kind.REAL in parameter.kinds:
            self._error(column, raw, f"is not {kinds}, CASA would stop", f"write {key}={raw[:30]}.0")
        else:
            self._error(column, raw, f"is not {kinds}", f"write {kinds}")

    def _odd(self, column: int, value: object, problem: str, fix: str) -> None:
        self._notes.warn(self._number, column, value, problem, fix)

    def _error(self, column: int, value: object, problem: str, fix: str) -> None:
        self._is_wrong = True
        self._notes.error(self._number, column, value, problem, fix)


# What CASA 6 takes and older releases do not: the message about each, and what to do.
_OLD_STYLE: Final[Mapping[str, tuple[str, str]]] = {
    "begin": ("before the first key is not taken by older releases of CASA", "begin the line with a key"),
    "blanks": ("is not taken there by older releases of CASA", "leave exactly one blank between two pairs"),
    "equals": ("behind an equals sign is not taken by older releases of CASA", "remove the blank"),
    "quotes": ("is not quoted as older releases of CASA want it", "write KEY='VALUE'"),
    "reason": ("is not taken in a reason by older releases of CASA", "write words and digits with _ between them"),
}


def _selects(assignment: _Assignment) -> bool:
    """Return whether a pair of a line with ``mode='manual'`` keeps it from flagging everything."""
    if assignment.key == "autocorr":
        return TRUTHS.get(assignment.raw.strip(" ")) is True
    return assignment.key not in {"mode", "reason"} and bool(assignment.raw.strip(f"{QUOTES} "))
