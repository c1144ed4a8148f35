"""Selections in CASA's syntax, generated from what they mean, for the observation of ``flag_lines.OBSERVED``.

Half of them are then changed by a character or two: nobody knows what these mean, and all that is asked of them is that
CASA takes what the linter takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.srdp.domain.flag_lines import OBSERVED

_ALL = frozenset(range(len(OBSERVED.antennas)))
_BASELINES = frozenset((first, second) for first in _ALL for second in _ALL if first <= second)
_CROSS = frozenset((first, second) for first, second in _BASELINES if first != second)
_STATIONS = [station for _, station in OBSERVED.stations]
_CHANNELS = 64
_STRAY = ',;:~&!*?<>=.@"/\\ ()[]{}#+-|^%0123456789aeEGHzmk'

Meaning = frozenset[Any]


@dataclass(frozen=True)
class Question:
    """A selection.

    Attributes:
        key: the key of MSSelection.
        parameter: the same in a flag command.
        text: the selection.
        meaning: what it is meant to select; None if nobody knows.
        part: which part of CASA's answer that is.
        is_there: whether the observation has all that is named.
    """

    key: str
    parameter: str
    text: str
    meaning: Meaning | None
    part: str
    is_there: bool = True

    @property
    def line(self) -> str:
        """The selection as a flag command."""
        return f"mode='manual' {self.parameter}='{self.text}'"

    def is_meant(self, answer: dict[str, Any] | None) -> bool:
        """Return whether CASA's answer is what is meant; None is that it selects nothing."""
        if self.meaning is None and self.key not in {"time", "uvdist"}:
            return answer is not None  # in a gap between times, or beyond the longest baseline, there may be nothing
        if self.meaning is None:
            return True
        if answer is None:
            return False
        return frozenset(tuple(each) if isinstance(each, list) else each for each in answer[self.part]) == self.meaning


def questions(random: Random, count: int) -> Iterator[Question]:
    """Yield as many questions as are wanted; none that would end CASA's process."""
    while count:
        question = random.choice(_GENERATORS)(random)
        if random.random() < 0.5:
            question = replace(question, text=_changed(question.text, random), meaning=None, is_there=False)
        # A blank before = or a single quote makes something else of a line than of a selection alone.
        if re.search(r" [^ ]*=|^[^\"]*\"[^\"]*$|'", question.text) or not question.text.strip(" "):
            continue
        if not _is_deadly(question.text):
            yield question
            count -= 1


def _is_deadly(text: str) -> bool:
    return any(int(low) > int(high) for low, high in re.findall(r"(\d+) *~ *(\d+)", text))


def _changed(text: str, random: Random) -> str:
    for _ in range(random.randint(1, 2)):
        at = random.randint(0, len(text))
        text = text[:at] + random.choice(["", random.choice(_STRAY)]) + text[at + random.randint(0, 1) :]
    return text


def _listed(items: list[str], random: Random, separator: str = ",") -> str:
    return random.choice(["{0}", "{0} ", " {0}"]).format(separator).join(items)


def _range_of(lowest: int, highest: int, random: Random) -> tuple[str, frozenset[int]]:
    first = random.randint(lowest, highest)
    last = random.randint(first, highest)
    if first == last and random.random() < 0.7:
        return str(first), frozenset({first})
    return f"{first}{random.choice(['~', ' ~ '])}{last}", frozenset(range(first, last + 1))


# --- antennas -----------------------------------------------------------------------------------------------------


def _some_antennas(random: Random) -> tuple[str, frozenset[int], bool]:
    texts, numbers, is_there = [], frozenset[int](), True
    for _ in range(random.randint(1, 2)):
        number = random.randrange(len(_ALL))
        name, station = OBSERVED.stations[number]
        text, these = random.choice(
            [
                (name, {number}),
                (name, {number}),
                (station, {number}),
                (f"@{station}", {number}),
                (f"{name}@{station}", {number}),
                (str(number), {number}),
                (f"{name[:-1]}?", {each for each in _ALL if OBSERVED.antennas[each][:-1] == name[:-1]}),
                (f"*{name[-1]}", {each for each in _ALL if OBSERVED.antennas[each][-1] == name[-1]
                                   or _STATIONS[each][-1] == name[-1]}),
                ("ea0*", {each for each in _ALL if OBSERVED.antennas[each].startswith("ea0")}),
                ("ea1[12]", {4, 5}),
                ("/ea0[1-3]/", {0, 1, 2}),
                (f"0{number}" , {each for each in _ALL if OBSERVED.antennas[each] == f"ea0{number}"}),
                (name.upper(), {number}),
                ("ea99", set[int]()),
                ("9", set[int]()),
            ]
        )  # fmt: skip
        texts.append(text)
        numbers |= frozenset(these)
        is_there = is_there and text not in {"ea99", "9"} and text[0] != "0"
    return _listed(texts, random), numbers, is_there


def _antenna(random: Random) -> Question:
    text, first, is_there = _some_antennas(random)
    meaning = _with(first, _ALL, _CROSS)
    if random.random() < 0.6:
        sign = random.choice(["&", " & ", "&&", "&"])
        other, second, also_there = random.choice([("*", _ALL, True), _some_antennas(random)])
        text, is_there = f"{text}{sign}{other}", is_there and also_there
        meaning = _with(first, second, _BASELINES if sign == "&&" else _CROSS)
    elif random.random() < 0.2:
        text, meaning = f"{text}&&&", frozenset((each, each) for each in first)
    if random.random() < 0.15:
        text, meaning = f"!{text}", _BASELINES - meaning
    elif random.random() < 0.2:
        more, third, also_there = _some_antennas(random)
        text, is_there = f"{text};{more}", is_there and also_there
        meaning |= _with(third, _ALL, _CROSS)
    return Question("baseline", "antenna", text, meaning, "baselines", is_there)


def _with(first: frozenset[int], second: frozenset[int], among: Meaning) -> Meaning:
    return frozenset(
        (one, other) for one, other in among if (one in first and other in second) or (other in first and one in second)
    )


# --- spectral windows ---------------------------------------------------------------------------------------------


def _some_windows(random: Random) -> tuple[str, frozenset[int], bool]:
    number = random.randrange(4)
    text, these, is_there = random.choice(
        [
            (str(number), {number}, True),
            (str(number), {number}, True),
            (*_range_of(0, 3, random), True),
            (OBSERVED.windows[number].name, {number}, True),
            (f"*#{number}", {number}, True),
            ("*", {0, 1, 2, 3}, True),
            (f"<{number + 1}", set(range(number + 1)), True),
            (f"{1.42 + 0.1 * number:.2f}~{1.44 + 0.1 * number:.2f}GHz", {number}, True),
            (f"{1420 + 100 * number}~{1440 + 100 * number}MHz", {number}, True),
            (f"{1.42 + 0.1 * number:.2f}GHz", {number}, False),
            (f"0;{number}", {0, number}, True),
            ("7", set[int](), False),
        ]
    )
    return text, frozenset(these), is_there


def _window(random: Random) -> Question:
    texts: list[str] = []
    channels: set[tuple[int, int, int, int]] = set()
    all_there = True
    for _ in range(random.randint(1, 2)):
        text, windows, is_there = _some_windows(random)
        ranges = [(0, _CHANNELS - 1)]
        if random.random() < 0.6:
            parts = [_range_of(0, random.choice([63, 63, 90]), random) for _ in range(random.randint(1, 2))]
            ranges = [(min(numbers), max(numbers)) for _, numbers in parts]
            text = f"{text}:{';'.join(part for part, _ in parts)}"
        texts.append(text)
        all_there = all_there and is_there and all(high < _CHANNELS for _, high in ranges)
        # Up to a range's end nothing is missing that could be flagged.
        channels |= {
            (window, low, min(high, 63) if low < high else high, 1) for window in windows for low, high in ranges
        }
    return Question("spw", "spw", _listed(texts, random), frozenset(channels), "channels", all_there)


# --- the others ---------------------------------------------------------------------------------------------------


def _scan(random: Random) -> Question:
    texts, scans, is_there = [], frozenset[int](), True
    for _ in range(random.randint(1, 3)):
        number = random.randint(1, 8)
        text, these = random.choice(
            [
                _range_of(1, 8, random),
                _range_of(1, 12, random),
                (f"<{number}", frozenset(range(1, number))),
                (f"<={number}", frozenset(range(1, number + 1))),
                (f">={number}", frozenset(range(number, 9))),
                (f">{number}&<8", frozenset(range(number + 1, 8))),
            ]
        )
        texts.append(text)
        is_there = is_there and bool(these) and max(these) <= 8
        scans |= these
    return Question("scan", "scan", _listed(texts, random), scans & frozenset(range(1, 9)), "scans", is_there)


def _field(random: Random) -> Question:
    texts, fields, is_there = [], frozenset[int](), True
    for _ in range(random.randint(1, 3)):
        number = random.randrange(4)
        name = OBSERVED.fields[number]
        text, these, there = random.choice(
            [
                (name, {number}, True),
                (f'"{name}"', {number}, True),
                (f"{name[:-1]}?", {number}, True),
                (f"{name[:2]}*", {number}, True),
                (f"/{name[0]}.*{name[-1]}/", {number}, True),
                (name.lower(), {number}, name.lower() == name),
                (name[:3], set[int](), False),
                (*_range_of(0, 3, random), True),
                ("7", set[int](), False),
                (f"<{number + 1}", set(range(number + 1)), True),
            ]
        )
        texts.append(text)
        fields |= frozenset(these)
        is_there = is_there and there
    return Question("field", "field", _listed(texts, random), fields, "fields", is_there)


def _intent(random: Random) -> Question:
    text, scans, is_there = random.choice(
        [
            ("*BANDPASS*", {1, 3, 5, 7}, True),
            ("CALIBRATE_BANDPASS#UNSPECIFIED", {1, 3, 5, 7}, True),
            ("OBSERVE_T*", {2, 4, 6, 8}, True),
            ("OBSERVE_TARGET", {2, 4, 6, 8}, True),
            ("*TARGET*,*BAND*", set(range(1, 9)), True),
            ("/.*TARGET.*/", {2, 4, 6, 8}, True),
            ("*WVR*", set[int](), False),
            ("1", {2, 4, 6, 8}, True),
        ]
    )
    return Question("scanintent", "intent", text, frozenset(scans), "scans", is_there)


def _time(random: Random) -> Question:
    """Whole scans, of 60 s, one beginning every 80 s from 08:00:35 on, with blanks of 20 s between them."""
    first = random.randint(1, 8)
    last = random.randint(first, 8)
    begin, end = (_clock(scan, seconds) for scan, seconds in ((first, -5), (last, 65)))
    date = random.choice(["", "2013/08/10/", "2013/8/10/"])
    scans = frozenset(range(first, last + 1))
    text, these = random.choice(
        [
            (f"{date}{begin}~{date}{end}", scans),
            (f"{date}{begin}{random.choice(['~', ' ~ '])}{end}", scans),
            (f"{date}{begin}+00:01:10", frozenset({first})),
            (f"{date}{begin}+70", frozenset({first})),
            (f">{date}{begin}", frozenset(range(first, 9))),
            (f"<{date}{end}", frozenset(range(1, last + 1))),
            ("2013/08/10", frozenset(range(1, 9))),
            ("2013/08/09~2013/08/10", frozenset(range(1, 9))),
            ("2013/08/10/00:00:00~2013/08/11/00:00:00", frozenset(range(1, 9))),
        ]
    )
    return Question("time", "timerange", text, these, "scans", is_there=not ("+" in text and not these))


def _clock(scan: int, seconds: int) -> str:
    at = 8 * 3600 + 35 + (scan - 1) * 80 + seconds
    return f"{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}"


def _length(random: Random) -> Question:
    number = random.choice([10, 50, 200, 1000, 5000])
    unit = random.choice(["", "m", "km", "lambda", "klambda", "KLAMBDA", "Mlambda", " m", "k", "cm", "Glambda"])
    text = random.choice([f"<{number}{unit}", "<50m,>100m", f"0~{number}{unit}", f"{number}{unit}", f"<={number}"])
    return Question("uvdist", "uvrange", text, None, "rows", is_there=False)


_GENERATORS: tuple[Callable[[Random], Question], ...] = (_antenna, _window, _scan, _field, _intent, _time, _length)
