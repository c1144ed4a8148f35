"""The linter of ``cont.dat``: the frequencies of each field and spectral window in which there is no line.

The pipeline subtracts the continuum and makes continuum images with what stands there. It goes by words at the
beginning of lines, passes over what it does not know, and of two sections of one name takes the last::

    Field: TW_Hya

    SpectralWindow: 25 X1_ALMA_RB_07_SW_01
    345.703~345.781GHz LSRK
    345.812~345.900GHz LSRK

    SpectralWindow: 27
    ALL
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from srdp.domain.analyst_files import CONTINUUM_RANGES
from srdp.domain.errors import InvalidInput
from srdp.domain.imaging_request import field_name
from srdp.domain.lint import Notes, Report, numbered_lines, read_text

_FIELD = re.compile(r"Field: *(?P<name>.*)")
_WINDOW = re.compile(r"SpectralWindow: *(?P<number>[^ ]*)(?: +(?P<name>.*))?")
_HEADER = re.compile(r"(?P<word>field|spectral *window|spw) *:?", re.IGNORECASE)
_NUMBER: Final = r"[0-9]{1,6}(?:\.[0-9]{0,12})?"
_RANGE = re.compile(
    rf"(?P<low>{_NUMBER}) *~ *(?P<high>{_NUMBER}) *(?P<unit>[A-Za-z]*)(?P<blank> *)(?P<frame>[A-Za-z]*)"
)
_WINDOW_NUMBER = re.compile(r"[0-9]{1,3}")
_WORDS = ("ALL", "ALLCONT", "NONE")
_FRAMES = ("LSRK", "TOPO", "SOURCE")
_FLAGS = "Flags:"
# What a telescope observes in GHz, with some room; MHz without the unit, or a missing point, lie far outside.
_OBSERVES: Final = {"ALMA": (30.0, 1000.0), "VLA": (0.05, 51.0)}
_EXAMPLE = "345.703~345.781GHz LSRK"


def lint_continuum_ranges(
    content: bytes, *, file: str = CONTINUUM_RANGES, fields: Collection[str] = (), telescope: str = "ALMA"
) -> Report:
    """Lints a file of continuum ranges.

    Args:
        content: the file's bytes.
        file: what the person calls the file, a name or a path.
        fields: the names of the fields that are imaged; none: they are not known, and not compared.
        telescope: ``ALMA`` or ``VLA``.

    Returns:
        Everything that was found; a spectral window without a range has a warning.
    """
    text, notes = read_text(content, file)
    if text is None:
        return notes.report()
    reader = _Reader(notes, fields, telescope)
    for number, line in numbered_lines(text):
        reader.read(number, line)
    reader.end()
    if not reader.ranges and not notes.report().findings:
        notes.error(1, 1, file, "has no range", f"write a Field:, a SpectralWindow: and lines such as {_EXAMPLE}")
    return notes.report()


@dataclass
class _Window:
    """A section of a spectral window.

    Attributes:
        line: where it begins.
        text: its first line.
        ranges: its ranges in GHz, with what stands in their lines.
        word: what stands there in place of ranges, if anything does.
    """

    line: int
    text: str
    ranges: list[tuple[float, float, str]] = field(default_factory=list)
    word: str | None = None


class _Reader:
    """Reads the lines one after the other, and notes what is wrong in each.

    Args:
        notes: where findings go.
        fields: see :func:`lint_continuum_ranges`.
        telescope: likewise.
    """

    def __init__(self, notes: Notes, fields: Collection[str], telescope: str) -> None:
        self._telescope = telescope
        self._notes = notes
        self._fields = fields
        self._field: str | None = None
        self._windows: set[int] = set()
        self._window: _Window | None = None
        self._seen: set[str] = set()
        self.ranges = 0

    def read(self, number: int, line: str) -> None:
        """Reads one line, without its end."""
        text = line.rstrip(" ")
        if not text:
            return
        if not text.isascii() or not text.isprintable():
            column = next(at for at, each in enumerate(text, 1) if not each.isascii() or not each.isprintable())
            self._notes.error(number, column, text[column - 1], "is no character of such a file", "type it anew")
        elif text.startswith(" "):
            self._notes.error(number, 1, text, "begins with a blank", "begin the line with its first word")
        elif match := _FIELD.fullmatch(text):
            self._begin_field(number, match)
        elif match := _WINDOW.fullmatch(text):
            self._begin_window(number, match)
        elif match := _HEADER.match(text):
            wanted = "Field:" if match["word"].lower() == "field" else "SpectralWindow:"
            self._notes.error(number, 1, match[0], "is not how a section begins", f"write {wanted}")
        elif self._window is None:
            where = "a Field:" if self._field is None else "a SpectralWindow:"
            self._notes.error(number, 1, text, "belongs to no spectral window", f"write {where} before it")
        else:
            self._entry(number, text, self._window)

    def end(self) -> None:
        """Notes what is missing in the section that has ended."""
        window, self._window = self._window, None
        if window is not None and not window.ranges and window.word is None:
            self._notes.warn(
                window.line,
                1,
                window.text,
                "has no range, and its continuum would not be subtracted",
                "write its ranges below it, or NONE if that is meant",
            )

    def _begin_field(self, number: int, match: re.Match[str]) -> None:
        self.end()
        raw = match["name"]
        quotes = len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\""
        name, column = (raw[1:-1] if quotes else raw), match.start("name") + 1 + quotes
        self._field, self._windows = name, set()
        try:
            field_name(name)
        except InvalidInput:
            self._notes.error(number, column, name, "is not the name of a field", "write it as in the weblog")
            return
        if name in self._seen:
            problem = "has a second section, of which the pipeline takes the last"
            self._notes.error(number, column, name, problem, "put all its spectral windows into one")
        elif self._fields and name not in self._fields:
            known = ", ".join(sorted(self._fields)[:10])
            self._notes.warn(number, column, name, "is not a field that is imaged", f"choose from {known}")
        self._seen.add(name)

    def _begin_window(self, number: int, match: re.Match[str]) -> None:
        self.end()
        self._window = _Window(number, match[0])
        column, raw = match.start("number") + 1, match["number"]
        if self._field is None:
            self._notes.error(number, 1, match[0], "belongs to no field", "write a Field: before it")
        if not _WINDOW_NUMBER.fullmatch(raw):
            fix = "write its number, as the weblog counts them"
            self._notes.error(number, column, raw, "is not the number of a spectral window", fix)
        elif int(raw) in self._windows:
            problem = "has a second section in its field, of which the pipeline takes the last"
            self._notes.error(number, column, raw, problem, "put all its ranges into one")
        else:
            self._windows.add(int(raw))

    def _entry(self, number: int, text: str, window: _Window) -> None:
        if text.startswith(_FLAGS):
            return
        if text in _WORDS:
            self._word(number, text, window)
            return
        column = 1
        for piece in text.split(";"):
            begin = column + len(piece) - len(piece.lstrip(" "))
            column += len(piece) + 1
            self._range(number, begin, piece.strip(" "), window)

    def _word(self, number: int, text: str, window: _Window) -> None:
        self.ranges += 1
        if window.word is not None:
            problem = f"stands beside {window.word}"
            self._notes.error(number, 1, text, problem, "keep one of them")
        elif text == "NONE" and window.ranges:
            self._notes.error(number, 1, text, "stands beside ranges", "remove the ranges, or the NONE")
        window.word = text

    def _range(self, number: int, column: int, text: str, window: _Window) -> None:
        self.ranges += 1
        match = _RANGE.fullmatch(text)
        if match is None:
            words = ", ".join(_WORDS)
            self._notes.error(number, column, text, "is no range", f"write for example {_EXAMPLE}, or one of {words}")
            return
        if window.word == "NONE":
            self._notes.error(number, column, text, "stands beside NONE", "remove the NONE, or the range")
        self._unit_and_frame(number, column, match)
        low, high = float(match["low"]), float(match["high"])
        if low >= high:
            fix = f"write {match['high']}~{match['low']}" if low > high else "write two different frequencies"
            self._notes.error(number, column, text, "does not end above where it begins", fix)
            return
        lowest, highest = _OBSERVES[self._telescope]
        if low < lowest or high > highest:
            problem = f"is not where {self._telescope} observes"
            self._notes.error(number, column, text, problem, "write frequencies in GHz")
            return
        for other_low, other_high, other in window.ranges:
            if low < other_high and other_low < high:
                self._notes.error(number, column, text, f"overlaps with {other}", "make one range of the two")
                return
        window.ranges.append((low, high, text))

    def _unit_and_frame(self, number: int, column: int, match: re.Match[str]) -> None:
        unit, frame = match["unit"], match["frame"]
        if unit != "GHz":
            place = column + match.start("unit")
            self._notes.error(number, place, unit, "is not the unit", "write GHz behind the numbers")
        elif frame not in _FRAMES or not match["blank"]:
            place = column + match.start("frame")
            fix = f"write one of {', '.join(_FRAMES)} behind GHz and a blank"
            self._notes.error(number, place, frame, "is no frame of reference", fix)
