"""For how long things are kept: the text file that a data analyst edits, read so that a mistake in it deletes nothing.

One line a kind, ``archived   14 days``; ``#`` begins a comment. What a wrong or missing line would have set stays as
it was: the caller keeps what is in force (see :meth:`~srdp.hooks.ledger.retention.Retention.in_force`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.lint import Finding, Notes, numbered_lines
from srdp.domain.files.shared_files import FileKind, read_shared
from srdp.domain.files.storage import AccessDenied, LocalFilesError, StorageUnavailable
from srdp.domain.retention.kinds import Kind

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import PipelineRun

# The file that is shipped has two kilobytes.
_RETENTION_FILE = FileKind("the text file", 64 * 1024)
_MOST_FINDINGS = 20
_LONGEST_DAYS = 3650
_UNITS = {"day": 1, "days": 1, "week": 7, "weeks": 7}
_WORD = re.compile(r"\S+")
_DIGITS = re.compile(r"[0-9]{1,9}")
_NEGATIVE = re.compile(r"-[0-9]+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Retention:
    """For how long each kind of thing is kept.

    Attributes:
        days: the number of days, by kind.
        said: the valid values of the file, by kind: what is to be recorded.
        problems: what is wrong with the file, and what holds instead, one sentence each.
    """

    days: Mapping[str, int]
    said: Mapping[str, int]
    problems: tuple[str, ...] = ()


def kind_of_run(run: PipelineRun, kinds: Sequence[Kind]) -> Kind | None:
    """Return which kind of thing a run is; None: it is never removed.

    Args:
        run: the run, as it stands now.
        kinds: the table of kinds.
    """
    return next((kind for kind in kinds if run.kind in kind.requests and run.state in kind.states), None)


def days_in_force(kind: str, in_force: Mapping[str, int], kinds: Sequence[Kind]) -> int:
    """Return for how many days a kind of thing is kept: the last valid value of the file, or else the table's default.

    Args:
        kind: its name in the table.
        in_force: what the ledger remembers.
        kinds: the table of kinds.
    """
    default = next(known.default_days for known in kinds if known.name == kind)
    return in_force.get(kind, default)


def read_retention(path: Path, in_force: Mapping[str, int], kinds: Sequence[Kind]) -> Retention:
    """Read the text file. Whatever it holds, and whatever it is, nothing is raised: what was in force stays so.

    Args:
        path: where it is.
        in_force: what the ledger remembers.
        kinds: the table of kinds.
    """
    try:
        content = _content(path)
    except InvalidInput as error:
        days = {kind.name: days_in_force(kind.name, in_force, kinds) for kind in kinds}
        return Retention(days, {}, (f"{error} Until then everything is kept as long as before: {_listed(days)}.",))
    return parse_retention(content, str(path), in_force, kinds)


def parse_retention(content: bytes, file: str, in_force: Mapping[str, int], kinds: Sequence[Kind]) -> Retention:
    """Return what a text file says, and what stays as it was because the file does not say it rightly.

    Args:
        content: the file's bytes, which may be anything.
        file: what the file is called in sentences.
        in_force: what the ledger remembers.
        kinds: the table of kinds.
    """
    # Notepad writes the mark. A line that is not UTF-8 is wrong, or a comment, by itself: the others count.
    text = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", errors="replace")
    notes = Notes(file, text)
    said = _said(text, notes, [kind.name for kind in kinds])
    days = {kind.name: said.get(kind.name, days_in_force(kind.name, in_force, kinds)) for kind in kinds}
    problems = [*_sentences(notes.report().findings)]
    problems += [
        f"{_name(file)} has no good line for {kind.name}: {kind.title} are kept for {_in_days(days[kind.name])}, as "
        "before."
        for kind in kinds
        if kind.name not in said
    ]
    return Retention(days, said, tuple(problems))


def _said(text: str, notes: Notes, kinds: Sequence[str]) -> dict[str, int]:
    """Return what the good lines say; a kind that is there twice counts as missing."""
    said: dict[str, int] = {}
    first_lines: dict[str, int] = {}
    for number, line in numbered_lines(text):
        words = list(_WORD.finditer(line.partition("#")[0]))
        if not words:
            continue
        kind = words[0][0]
        if kind not in kinds:
            notes.error(number, words[0].start() + 1, kind, "is not a kind of thing that is kept", _meant(kind, kinds))
        elif kind in first_lines:
            said.pop(kind, None)
            fix = "leave one of the two lines, until then neither counts"
            notes.error(number, words[0].start() + 1, kind, f"stands in line {first_lines[kind]} too", fix)
        else:
            first_lines[kind] = number
            days = _days(number, line, words, notes)
            if days is not None:
                said[kind] = days
    return said


def _days(number: int, line: str, words: Sequence[re.Match[str]], notes: Notes) -> int | None:
    """Return for how many days a line says that its kind is kept, or None, noted, if it does not say so."""
    kind = words[0][0]
    if len(words) == 1:
        notes.error(number, len(line) + 1, kind, "has no number of days", f"write, for example, {kind} 14 days")
        return None
    amount, column = words[1][0], words[1].start() + 1
    if _NEGATIVE.fullmatch(amount):
        notes.error(number, column, amount, "is negative", "write a whole number from 0 on")
    elif not _DIGITS.fullmatch(amount):
        notes.error(number, column, amount, "is not a whole number", f"write, for example, {kind} 14 days")
    elif len(words) == 2:
        notes.error(number, words[1].end() + 1, amount, "has no unit", f"write {amount} days or {amount} weeks")
    elif words[2][0] not in _UNITS:
        notes.error(number, words[2].start() + 1, words[2][0], "is not a unit", "write days or weeks")
    elif len(words) > 3:
        behind = line[words[3].start() : words[-1].end()]
        notes.error(number, words[3].start() + 1, behind, "is too much", "remove it, or write # before it")
    elif int(amount) * _UNITS[words[2][0]] > _LONGEST_DAYS:
        notes.error(number, column, amount, "is longer than ten years", f"write at most {_LONGEST_DAYS} days")
    else:
        return int(amount) * _UNITS[words[2][0]]
    return None


def _meant(word: str, kinds: Sequence[str]) -> str:
    # Only so much of a long word as can be like one of ours: the comparison takes the square of its length.
    near = difflib.get_close_matches(word[:64].lower(), kinds, n=1)
    return f"write {near[0]}" if near else f"write one of {', '.join(kinds)}"


def _sentences(findings: Sequence[Finding]) -> Iterator[str]:
    yield from (finding.sentence for finding in findings[:_MOST_FINDINGS])
    if len(findings) > _MOST_FINDINGS:
        more = len(findings) - _MOST_FINDINGS
        yield f"{_name(findings[0].file)} has {more} more wrong lines: fix the first ones and see."


def _content(path: Path) -> bytes:
    """Return the bytes of the file, if it is one; its folder is the operator's, but the file may be anybody's.

    Raises:
        InvalidInput: one sentence.
        StorageUnavailable: the file system does not serve now, or the file is being written.
    """
    folder = path.parent.resolve()
    try:
        return read_shared(folder, folder / path.name, _RETENTION_FILE)
    except FileNotFoundError:
        raise InvalidInput(f"{_name(str(path))} is not there: put the text file there.") from None
    except LocalFilesError as error:
        if isinstance(error, StorageUnavailable) and not isinstance(error, AccessDenied):
            raise
        raise InvalidInput(str(error)) from None


def _name(file: str) -> str:
    """Return a file's name, safe for a sentence."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in file)


def _listed(days: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {_in_days(number)}" for kind, number in days.items())


def _in_days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"
