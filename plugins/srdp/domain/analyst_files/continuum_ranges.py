"""The linter of ``cont.dat``: the frequencies of each field and spectral window in which there is no line.

The pipeline subtracts the continuum, makes continuum images, and keeps lines from being flagged with what stands there
(``pipeline/infrastructure/contfilehandler.py``, release 2026)::

    Field: TW Hya

    SpectralWindow: 25 X1_ALMA_RB_07_SW_01
    345.703~345.781GHz LSRK
    345.812~345.900GHz LSRK

    SpectralWindow: 27
    Flags: ALLCONT
    347.103~347.981GHz LSRK

Its reader strips each line, passes over empty ones, and takes **every line that it does not know for the name of a
field**, comments included. Of two sections of one name it takes the last. It compares names without any quotes, and
numbers of windows as text. ``NONE``, ``ALL`` and ``ALLCONT`` on a line of their own are passed over: a window without
a range has no continuum at all. A range must have no blank around its ``~``, and its unit and frame behind it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from srdp.domain.analyst_files.names import CONTINUUM_RANGES
from srdp.domain.common.lint import Notes, Report, numbered_lines, read_text

_BLANKS: Final = " \t"
_FIELD = re.compile(r"Field:[ \t]*(?P<name>.*)")
_WINDOW = re.compile(r"SpectralWindow:(?P<blank>[ \t]*)(?P<number>[^ \t]*)[ \t]*(?P<name>.*)")
_HEADER = re.compile(r"(?P<word>field|spectral *window|spw)\b *:?", re.IGNORECASE)
_FLAGS_LINE = re.compile(r"Flags:(?P<blank>[ \t]*)(?P<words>.*)")
_NUMBER: Final = r"(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})"
_RANGE = re.compile(
    rf"(?P<low>{_NUMBER})(?P<before>[ \t]*)~(?P<after>[ \t]*)(?P<high>{_NUMBER})"
    r"[ \t]*(?P<unit>[A-Za-z]*)(?P<blank>[ \t]*)(?P<frame>[A-Za-z]*)"
)
_WINDOW_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}")
_KNOWN_FLAGS = ("ALLCONT", "LOWBANDWIDTH", "LOWSPREAD")
_WORDS = ("ALL", "ALLCONT", "NONE")
_FRAMES = ("LSRK", "TOPO", "SOURCE")
_IN_GHZ: Final = {"Hz": 1e-9, "kHz": 1e-6, "MHz": 1e-3, "GHz": 1.0, "THz": 1e3}
# What each telescope observes, in GHz, with some room; MHz without the unit, or a missing point, are far outside.
_OBSERVES: Final = {"ALMA": (30.0, 1000.0), "VLA": (0.05, 51.0)}
_EXAMPLE = "345.703~345.781GHz LSRK"


def lint_continuum_ranges(
    content: bytes,
    *,
    file: str = CONTINUUM_RANGES,
    fields: Collection[str] = (),
    telescope: str = "ALMA",
    windows: Collection[int] = (),
) -> Report:
    """Return what is wrong, or odd, in a file of continuum ranges.

    Args:
        content: the file's bytes.
        file: what the person calls the file, a name or a path.
        fields: the names of the fields that are imaged or calibrated; none: they are not known, and not compared.
        telescope: ``ALMA`` or ``VLA``. The stages of the VLA stop at a window without a range.
        windows: the numbers that spectral windows may have; none: they are not known.
    """
    text, notes = read_text(content, file)
    if text is None:
        return notes.report()
    reader = _Reader(notes, fields, telescope, windows)
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
        frame: the frame of its first range.
        none: whether it says ``NONE``.
        all_continuum: whether its flags say ``ALLCONT``.
    """

    line: int
    text: str
    ranges: list[tuple[float, float, str]] = field(default_factory=list)
    frame: str = ""
    none: bool = False
    all_continuum: bool = False


class _Reader:
    """Read the lines in order, and note the problems of each.

    Args:
        notes: where findings go.
        fields: see :func:`lint_continuum_ranges`.
        telescope: likewise.
        windows: likewise.
    """

    def __init__(self, notes: Notes, fields: Collection[str], telescope: str, windows: Collection[int]) -> None:
        self._telescope = telescope
        self._notes = notes
        self._fields = fields
        self._numbers = windows
        self._field: str | None = None
        self._windows: set[str] = set()
        self._window: _Window | None = None
        self._seen: set[str] = set()
        self.ranges = 0

    def read(self, number: int, line: str) -> None:
        """Read one line, without its end."""
        text = line.strip(_BLANKS)
        column = len(line) - len(line.lstrip(_BLANKS)) + 1
        if not text:
            return
        odd = next((at for at, each in enumerate(text) if each != "\t" and not " " <= each <= "~"), None)
        if odd is not None:
            self._notes.error(number, column + odd, text[odd], "is no character of such a file", "type it again")
        elif match := _FIELD.fullmatch(text):
            self._begin_field(number, column + match.start("name"), match["name"])
        elif match := _WINDOW.fullmatch(text):
            self._begin_window(number, column, match)
        elif match := _FLAGS_LINE.fullmatch(text):
            self._flags(number, column, match)
        elif "~" in text and not text.startswith("#"):
            self._entry(number, column, text)
        elif text in _WORDS:
            self._word(number, column, text)
        else:
            self._other(number, column, text)

    def end(self) -> None:
        """Note what is missing in the section that has ended."""
        window, self._window = self._window, None
        if window is None or window.ranges:
            return
        if self._telescope == "VLA":
            problem = "has no range, and the stages of the VLA pipeline stop at that"
            self._notes.error(window.line, 1, window.text, problem, "write its ranges below it, or remove it")
        elif window.all_continuum:
            problem = "is all continuum and has no range"
            self._notes.error(window.line, 1, window.text, problem, "write its whole range below its flags")
        elif not window.none:
            problem = "has no range, and its continuum would not be subtracted"
            fix = "write its ranges below it, or NONE if that is meant"
            self._notes.warn(window.line, 1, window.text, problem, fix)

    def _other(self, number: int, column: int, text: str) -> None:
        """A line that the pipeline takes for the name of a field, or passes over."""
        if text.startswith("#"):
            what = "a range" if "~" in text else "the name of a field"
            self._notes.error(number, column, text, f"is no comment here but {what}", "remove the line")
        elif (match := _HEADER.match(text)) and text not in self._fields:
            wanted = "Field:" if match["word"].lower() == "field" else "SpectralWindow: and a blank"
            self._notes.error(number, column, match[0], "is not how a section begins", f"write {wanted}")
        elif text in self._fields:
            self._notes.warn(number, column, text, "begins a field without saying so", f"write Field: {text}")
            self._begin_field(number, column, text)
        else:
            fix = f"write {_EXAMPLE}, SpectralWindow: or Field: before it, or remove it"
            self._notes.error(number, column, text, "is the name of a field for the pipeline", fix)

    def _begin_field(self, number: int, column: int, raw: str) -> None:
        self.end()
        column += raw[:1] in {"'", '"'}
        name = _without_quotes(raw)
        self._field, self._windows = name, set()
        known = {_without_quotes(each) for each in self._fields}
        if not name:
            self._notes.error(number, column, raw, "is not the name of a field", "write it as in the weblog")
        elif unexpected := next((each for each in ("~", "Flags", "Field:", "SpectralWindow:") if each in name), None):
            problem = f"has a {unexpected} in it, with which the pipeline does not take it for a field"
            self._notes.error(number, column, name, problem, "flag or image this field by hand")
        elif name in self._seen:
            problem = "has a second section, and the pipeline takes the last"
            self._notes.error(number, column, name, problem, "put all its spectral windows into one")
        elif self._fields and name not in known:
            listed = ", ".join(sorted(self._fields)[:10])
            self._notes.warn(
                number, column, name, "is not a field of this run, and has no effect", f"choose from {listed}"
            )
        self._seen.add(name)

    def _begin_window(self, number: int, column: int, match: re.Match[str]) -> None:
        self.end()
        self._window = _Window(number, match[0])
        place, raw, name = column + match.start("number"), match["number"], match["name"]
        if self._field is None:
            self._notes.error(number, column, match[0], "belongs to no field", "write a Field: before it")
        if not match["blank"] or not raw:
            problem = "has no number behind a blank, so that the window before it is taken"
            self._notes.error(number, column, match[0], problem, "write for example SpectralWindow: 25")
        elif not _WINDOW_NUMBER.fullmatch(raw):
            fix = "write its number, as the weblog counts them"
            self._notes.error(number, place, raw, "is not the number of a spectral window", fix)
        elif raw in self._windows:
            problem = "has a second section in its field, and the pipeline takes the last"
            self._notes.error(number, place, raw, problem, "put all its ranges into one")
        elif self._numbers and int(raw) not in self._numbers:
            listed = ", ".join(map(str, sorted(self._numbers)[:40]))
            self._notes.error(number, place, raw, "is no spectral window of this observation", f"choose from {listed}")
        self._windows.add(raw)
        if len(name.split()) > 1 or name.startswith("#") or name.isdigit():
            problem = "is not the name of a spectral window: the pipeline takes one word behind the number, or stops"
            self._notes.error(number, column + match.start("name"), name, problem, "remove it")

    def _flags(self, number: int, column: int, match: re.Match[str]) -> None:
        if self._window is None:
            self._notes.error(number, column, match[0], "belongs to no spectral window", "write it below one")
            return
        words = match["words"].split()
        unknown = next((word for word in words if word not in _KNOWN_FLAGS), None)
        if not words or not match["blank"]:
            self._notes.error(
                number, column, match[0], "has no flag behind a blank", "write for example Flags: ALLCONT"
            )
        elif unknown is not None:
            fix = f"choose from {', '.join(_KNOWN_FLAGS)}"
            self._notes.error(number, column + match[0].index(unknown), unknown, "is no flag that has an effect", fix)
        self._window.all_continuum |= "ALLCONT" in words

    def _word(self, number: int, column: int, text: str) -> None:
        if self._window is None:
            self._notes.error(number, column, text, "belongs to no spectral window", "write it below one")
        elif text != "NONE":
            problem = "has no effect on a line of its own: a window without a range has no continuum"
            self._notes.error(number, column, text, problem, "write Flags: ALLCONT, and the whole range below it")
        elif self._window.ranges:
            self._notes.error(number, column, text, "stands beside ranges", "remove the ranges, or the NONE")
        else:
            self.ranges += 1
            self._window.none = True

    def _entry(self, number: int, column: int, text: str) -> None:
        if self._window is None:
            where = "a Field:" if self._field is None else "a SpectralWindow:"
            self._notes.error(number, column, text, "belongs to no spectral window", f"write {where} before it")
            return
        position = 0
        while position < len(text):
            match = _RANGE.match(text, position)
            if match is None:
                fix = f"write for example {_EXAMPLE}, or NONE where there is no continuum"
                self._notes.error(number, column + position, text[position:], "is no range", fix)
                return
            self._range(number, column + position, match, self._window)
            position = match.end()
            while text[position : position + 1] in {" ", "\t", ";"}:
                position += 1

    def _range(self, number: int, column: int, match: re.Match[str], window: _Window) -> None:
        self.ranges += 1
        text = match[0].strip(_BLANKS)
        if window.none:
            self._notes.error(number, column, text, "stands beside NONE", "remove the NONE, or the range")
        if match["before"] or match["after"]:
            fix = f"write {match['low']}~{match['high']}{match['unit']} {match['frame']}".rstrip(" ")
            self._notes.error(number, column, text, "has a blank beside its ~, and the pipeline stops at that", fix)
        if not self._unit_and_frame(number, column - match.start(), match, window):
            return
        low, high = (float(match[end]) * _IN_GHZ[match["unit"]] for end in ("low", "high"))
        lowest, highest = _OBSERVES[self._telescope]
        if low >= high:
            fix = f"write {match['high']}~{match['low']}" if low > high else "write two different frequencies"
            self._notes.error(number, column, text, "does not end above where it begins", fix)
        elif low < lowest or high > highest:
            problem, fix = f"is not where the {self._telescope} observes", "check the numbers and the unit"
            if self._telescope == "ALMA":
                problem = "is not where ALMA observes"
            self._notes.error(number, column, text, problem, fix)
        else:
            others = [other for other_low, other_high, other in window.ranges if low < other_high and other_low < high]
            for other in others[:1]:
                self._notes.warn(number, column, text, f"overlaps with {other}", "make one range of the two")
            window.ranges.append((low, high, text))

    def _unit_and_frame(self, number: int, offset: int, match: re.Match[str], window: _Window) -> bool:
        unit, frame = match["unit"], match["frame"]
        if unit not in _IN_GHZ:
            self._notes.error(
                number, offset + match.start("unit"), unit, "is not the unit", "write GHz behind the numbers"
            )
        elif frame not in _FRAMES or not match["blank"]:
            fix = f"write one of {', '.join(_FRAMES)} behind {unit} and a blank"
            self._notes.error(number, offset + match.start("frame"), frame, "is no frame of reference", fix)
        elif window.frame not in {"", frame}:
            problem = f"is another frame than the {window.frame} of the ranges before it"
            self._notes.error(number, offset + match.start("frame"), frame, problem, "write one frame in a window")
        else:
            window.frame = frame
            return True
        return False


def _without_quotes(name: str) -> str:
    """Return a name as the pipeline compares it."""
    return name.replace('"', "").replace("'", "").strip(_BLANKS)
