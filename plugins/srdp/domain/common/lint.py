"""What a linter says about a file that a person wrote: everything at once, each with its place and its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from srdp.domain.common.errors import InvalidInput, quoted

# Analysts' files have some kilobytes; a template of all flags of a long observation has some hundred.
_LARGEST_BYTES = 1_000_000
_MOST_SHOWN = 200


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, or odd, in one place of one file.

    Attributes:
        file: what the person calls the file.
        line: counted from 1.
        column: counted from 1, in characters; one behind the line's end where something is missing there.
        value: what stands there, as it is in the file; hostile.
        problem: what is wrong with the value, as the sentence continues after it: ``is not a number``.
        fix: what to do, beginning with a verb, without a full stop.
    """

    file: str
    line: int
    column: int
    value: str
    problem: str
    fix: str

    @property
    def sentence(self) -> str:
        """The finding in one line of printable characters."""
        place = f"{self.file}, line {self.line}, column {self.column}"
        return _printable(f"{place}: {quoted(self.value)} {self.problem}: {self.fix}.")


class LintFailed(InvalidInput):
    """Files that a person wrote would not do what they seem to say; the text has one sentence a line, not all if many.

    Attributes:
        findings: everything that is wrong, sorted by file and place.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings))
        super().__init__("\n".join(sentences(self.findings)))


def sentences(findings: Iterable[Finding]) -> list[str]:
    """Return what people read: of each file the first findings, and how many more there are.

    It goes into logs, into Airflow's database and into mails; of a wrong file every line is wrong.

    Args:
        findings: in any order.
    """
    shown = []
    for file, group in groupby(sorted(findings), key=lambda finding: finding.file):
        found = list(group)
        shown += [finding.sentence for finding in found[:_MOST_SHOWN]]
        if len(found) > _MOST_SHOWN:
            shown.append(
                _printable(f"{file} has {len(found) - _MOST_SHOWN} more: see whether it is the file you meant.")
            )
    return shown


@dataclass(frozen=True)
class Report:
    """What a linter found; reports of several files are added up.

    Attributes:
        findings: what must be changed.
        warnings: what is odd and may be meant.
    """

    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(self.findings + other.findings, self.warnings + other.warnings)

    def refuse(self) -> None:
        """Do nothing if there is nothing to change.

        Raises:
            LintFailed: there is; warnings alone do not raise it.
        """
        if self.findings:
            raise LintFailed(self.findings)


@dataclass
class Notes:
    """What a linter has found so far in one file.

    A place that a parser reports a little beyond the file is moved to the nearest that exists.

    Attributes:
        file: what the person calls the file.
        text: the whole file; places are counted in it.
    """

    file: str
    text: str
    _findings: list[Finding] = field(default_factory=list)
    _warnings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = self.text.split("\n")

    def error(self, line: int, column: int, value: object, problem: str, fix: str) -> None:
        """Note what must be changed; see :class:`Finding`."""
        self._findings.append(self._finding(line, column, value, problem, fix))

    def warn(self, line: int, column: int, value: object, problem: str, fix: str) -> None:
        """Note what may be meant; see :class:`Finding`."""
        self._warnings.append(self._finding(line, column, value, problem, fix))

    def report(self) -> Report:
        """Return what was noted, sorted by place."""
        return Report(tuple(sorted(self._findings)), tuple(sorted(self._warnings)))

    def _finding(self, line: int, column: int, value: object, problem: str, fix: str) -> Finding:
        inside = min(max(line, 1), len(self._lines))
        longest = len(self._lines[inside - 1]) + 1
        return Finding(self.file, inside, min(max(column, 1), longest), str(value), problem, fix)


def read_text(content: bytes, file: str, *, mark_matters: bool = True) -> tuple[str | None, Notes]:
    """Return a file's text, or None and why it is none.

    Args:
        content: the file's bytes.
        file: what the person calls the file.
        mark_matters: whether a byte order mark is wrong; not where CASA does not look at the first line.
    """
    notes = Notes(file, content[:_LARGEST_BYTES].decode("utf-8", errors="replace"))
    if len(content) > _LARGEST_BYTES:
        notes.error(1, 1, file, f"is larger than {_LARGEST_BYTES} bytes", "give the file that you meant")
        return None, notes
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode("utf-8"))
        notes.error(line, column, content[error.start : error.end], "is not text", "save the file as UTF-8")
        return None, notes
    if text.startswith("\ufeff") and mark_matters:
        notes.error(1, 1, "\ufeff", "is an invisible byte order mark", "save the file as UTF-8 without it")
    return text.removeprefix("\ufeff"), notes


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line of a text with its number; a carriage return before the line's end belongs to the end."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r")


def _printable(text: str) -> str:
    """Return a text in which whatever could break a line, a log or a mail is written out."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _place(before: str) -> tuple[int, int]:
    """Return line and column of what follows a text."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
