"""The analyst's verdict in words: the QA report that is read, the notes that are written into weblog and archive.

The agreed keys stand one a line. Whatever else a report says is kept as text.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import real_number
from srdp.domain.common.visible import visible
from srdp.domain.runs.authors import on_behalf

#: The standard that a verdict is given by when nobody says another.
DEFAULT_STANDARD: Final = "SRDP Pilot"

# People write the underscore as a blank or a hyphen too; programs look for the underscore only.
_KEY = r"qa[_ -]?(standard|analyst|status|score|date|comments)[^\S\n]*:"
_KEY_LINE = re.compile(rf"[^\S\n]*{_KEY}(.*)", re.IGNORECASE)
_KEY_ANYWHERE = re.compile(_KEY, re.IGNORECASE)
# What the template says where an analyst has not filled it in.
_PLACEHOLDERS = {"analyst": "your name here", "status": "pass/fail", "comments": "add comments if needed"}

# A box of a checklist at the beginning of a line, with what is in it.
_BOX = re.compile(r"^[^\S\n]*(?:[-*][^\S\n]+)?\[([^\S\n]?|[xX\u2713\u2714])\]", re.MULTILINE)

_LONGEST_FIELD = 200
_LONGEST_TEXT = 20_000
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
# Begun at the first of several blanks only, and with one way to read them: a long row of them takes no longer.
_BR = re.compile(r"(?:(?<![^\S\n])[^\S\n]+)?<[^\S\n]*(?:/[^\S\n]*)?br[^\S\n]*(?:/[^\S\n]*)?>[^\S\n]*\n?", re.IGNORECASE)
# Control characters but tab and line feed; what turns the direction of text around; halves of characters; and what
# is no character.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_CHECK_SCORE = real_number("qa_score", 0, 1)


class QaFlag(StrEnum):
    """The SRDP verdict, which is separate from archiving; the value is what people choose and what is stored."""

    PASS = "Pass"  # noqa: S105
    FAIL = "Fail"
    NULL = "Null"


_DEFAULT_SCORES: Final = {QaFlag.PASS: 1.0, QaFlag.FAIL: 0.0, QaFlag.NULL: None}


def qa_flag(value: object) -> QaFlag:
    """Return the value as an SRDP verdict.

    Raises:
        InvalidInput: it is not ``Pass``, ``Fail`` or ``Null``.
    """
    try:
        return QaFlag(str(value))
    except ValueError:
        raise InvalidInput(
            f"{quoted(value)} is not a QA flag: choose Pass, Fail or Null (no SRDP QA was done)."
        ) from None


@dataclass(frozen=True)
class QaVerdict:
    """A verdict that is fit to be written down; one whose lines could be taken for other keys cannot be made.

    Attributes:
        flag: the SRDP verdict.
        standard: the standard that it was given by; one line.
        analyst: who gave it, as form or report say; one line, empty if not given.
        score: a number, ``None`` if there is none.
        comments: text of any number of lines.
        report_text: what the analyst's report says beside the agreed keys; text of any number of lines.
        given_by: who gave it, as Airflow has authenticated that person; empty of a verdict of an earlier release. The
            same verdict of somebody else is the same one, and stays that of who gave it first.
        assigned_to: to whom the review was assigned, if that is somebody else; empty if not.
    """

    flag: QaFlag
    standard: str = DEFAULT_STANDARD
    analyst: str = ""
    score: float | None = None
    comments: str = ""
    report_text: str = ""
    given_by: str = field(default="", compare=False)
    assigned_to: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check what would break the notes.

        Raises:
            InvalidInput: a text is too long, or holds what readers of the notes would take for a key; a score is not
                a number.
        """
        lines = {"qa_standard": self.standard, "qa_analyst": self.analyst, "Airflow's user": self.given_by}
        for name, line in lines.items():
            if line != _line(line, _cleaned) or len(line) > _LONGEST_FIELD or _KEY_ANYWHERE.search(line):
                raise InvalidInput(
                    f"{name} {quoted(line)} must be one line of at most {_LONGEST_FIELD} characters without any of the "
                    "QA keys in it."
                )
        for name, text in (("qa_comments", self.comments), ("the QA report", self.report_text)):
            if len(text) > _LONGEST_TEXT:
                raise InvalidInput(f"{name} has {len(text)} characters: shorten it to {_LONGEST_TEXT}.")
            if text != _cleaned(text) or any(_KEY_LINE.match(line) for line in text.split("\n")):
                raise InvalidInput(
                    f"{name} holds control characters or a line that begins with a QA key such as qa_status: give each "
                    "key in its own field."
                )
        if self.score is not None and not math.isfinite(self.score):  # what the ledger has is not judged again
            raise InvalidInput(f"qa_score {quoted(self.score)} is not a number.")

    @property
    def author(self) -> str:
        """Who gave it, as notes and archive say: ``jdoe``, or ``given by jdoe for Jane Doe``."""
        author = on_behalf(self.given_by, self.analyst) if self.given_by else self.analyst
        return author if author in {self.given_by, self.analyst} else f"given by {author}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the reader, a sentence each."""
        boxes = _BOX.findall(self.report_text)
        empty = sum(not box.strip() for box in boxes)
        unticked = f"{empty} of the {len(boxes)} boxes of the checklist in the QA report are not ticked."
        not_theirs = f"The review was assigned to {self.assigned_to}, but {self.given_by} has given the verdict."
        return (*([unticked] if empty else []), *([not_theirs] if self.assigned_to else []))


@dataclass(frozen=True)
class QaReport:
    """What an analyst's ``qa_report.txt`` says; empty where it says nothing or still has the template's words.

    Attributes:
        standard: after ``qa_standard``.
        analyst: after ``qa_analyst``.
        status: after ``qa_status``, as it stands there.
        score: after ``qa_score``, as it stands there.
        comments: after ``qa_comments``, up to the next key.
        text: every other line.
    """

    standard: str = ""
    analyst: str = ""
    status: str = ""
    score: str = ""
    comments: str = ""
    text: str = ""


def parse_qa_report(text: str, where: str = "the QA report") -> QaReport:
    """Read a report that is there as text, for example pasted into a form.

    ``<br>`` ends a line and is no part of any text. Keys are known in any case. Lines after ``qa_comments`` belong to
    it up to the next key. A ``qa_date`` is left out: the date is that of the ingest.

    Args:
        text: the report.
        where: what a person calls it, for the error's sentence.

    Raises:
        InvalidInput: a key stands there twice with different values.
    """
    found: dict[str, str] = {}
    comments: list[str] = []
    others: list[str] = []
    rest = others
    for number, line in enumerate(_text(text).split("\n"), start=1):
        match = _KEY_LINE.match(line)
        if match is None:
            rest.append(line)
            continue
        key, value = match[1].lower(), match[2].strip()
        rest = comments if key == "comments" else others
        if not value or value.lower() == _PLACEHOLDERS.get(key):
            continue
        if key == "comments":
            comments.append(value)
        elif found.setdefault(key, value) != value:
            raise InvalidInput(
                f"{where}, line {number}, says qa_{key} {quoted(value)}, but {quoted(found[key])} before: keep one of "
                "them."
            )
    return QaReport(
        standard=found.get("standard", ""),
        analyst=found.get("analyst", ""),
        status=found.get("status", ""),
        score=found.get("score", ""),
        comments=_text("\n".join(comments)),
        text=_text("\n".join(others)),
    )


def qa_verdict(
    flag: QaFlag,
    report: QaReport | None = None,
    *,
    standard: str | None = None,
    analyst: str | None = None,
    score: str | float | None = None,
    comments: str | None = None,
    former: QaVerdict | None = None,
    given_by: str = "",
    assigned_to: str = "",
) -> QaVerdict:
    """Brings together what the form says, what the report says, and the former notes.

    What the form says counts before the report, that before the former verdict, and that before the defaults; of the
    comments of form and report, none is lost. A field that is ``None`` or blank says nothing. For whom a verdict was
    given is kept only if the same person changes it.

    Args:
        flag: the verdict.
        report: the analyst's report, if there is one.
        standard: ``SRDP Pilot`` if nobody says anything.
        analyst: who gives the verdict.
        score: by default 1 for a pass, 0 for a fail, none for ``Null``.
        comments: any text.
        former: the verdict that this one changes, if there is one; its score counts for its own flag only.
        given_by: who gives it, as Airflow has authenticated that person.
        assigned_to: to whom the review was assigned, if that is somebody else.

    Raises:
        InvalidInput: the report's ``qa_status`` contradicts the flag, a score is not a number, or a text does not fit
            into the notes.
    """
    report = report or QaReport()
    if report.status and report.status.lower() != flag.value.lower():
        raise InvalidInput(
            f"The QA report says qa_status {quoted(report.status)}, but the QA flag is {flag}: make them agree, or "
            "take qa_status out of the report."
        )
    before = former or QaVerdict(flag)
    texts = [text for text in dict.fromkeys((_text(comments or ""), report.comments)) if text]
    default_score = former.score if former is not None and former.flag is flag else _DEFAULT_SCORES[flag]
    named = _line(analyst or "") or report.analyst
    new = QaVerdict(
        flag=flag,
        standard=_line(standard or "") or report.standard or before.standard,
        analyst=named or before.analyst,
        score=_score(score, report.score, default_score),
        comments="\n".join(texts) or before.comments,
        report_text=report.text or before.report_text,
        given_by=_line(given_by),
        assigned_to=_line(assigned_to),
    )
    return new if named or new == former or new.given_by == before.given_by else replace(new, analyst="")


def changes(former: QaVerdict, new: QaVerdict) -> list[str]:
    """Return what a verdict changes of the former one, a line each; what is long is only named.

    Args:
        former: the verdict before.
        new: the verdict now.
    """
    short = [
        ("QA flag", former.flag.value, new.flag.value),
        ("Standard", former.standard, new.standard),
        ("Analyst", former.author or "none", new.author or "none"),
        ("Score", _shown(former.score), _shown(new.score)),
    ]
    long = [
        ("The comments were changed", former.comments, new.comments),
        ("The report was changed", former.report_text, new.report_text),
    ]
    return [
        *(f"{name}: from {was} to {now}" for name, was, now in short if was != now),
        *(sentence for sentence, was, now in long if was != now),
    ]


def render_plain(verdict: QaVerdict, *, when: datetime | None = None) -> str:
    """Return the notes as the archive stores them in ``qa_notes``: plain text without ``<br>``.

    The agreed template has its keys in small letters; archive clients look for ``QA_Standard:`` and ``QA_Status:``. A
    reader that minds the case finds its spelling, whichever it looks for, because standard and status stand there in
    both; one that does not mind finds the same value twice. The keys come before all free text.

    Args:
        verdict: what to write.
        when: the time of the ingest, for ``qa_date``; it must be the same when the notes are written again.
    """
    return "\n".join(_lines(verdict, when, lambda text: text))


def render_html(verdict: QaVerdict, *, when: datetime | None = None, report: str | None = None) -> str:
    """Return the notes as the page ``qa_notes.html``: the same lines, each but the last with ``<br>``, text escaped.

    Args:
        verdict: what to write.
        when: the time of the ingest; see :func:`render_plain`.
        report: the name of the analyst's report, which is beside the page: then the page has a link to it instead of
            what it says beside the agreed keys.
    """
    if report is None:
        lines = _lines(verdict, when, html.escape)
    else:
        name = html.escape(report)
        link = f'qa_report: <a href="{name}">{name}</a>'
        lines = [*_lines(verdict, when, html.escape, with_report=False), link]
    return " <br>\n".join(lines) + "\n"


def _lines(
    verdict: QaVerdict, when: datetime | None, shown: Callable[[str], str], *, with_report: bool = True
) -> list[str]:
    standard, status = shown(verdict.standard), verdict.flag.value
    lines = [
        f"QA_Standard: {standard}",
        f"QA_Status: {status}",
        f"qa_standard: {standard}",
        f"qa_analyst: {shown(verdict.author)}",
        f"qa_status: {status}",
        f"qa_score: {'' if verdict.score is None else _number(verdict.score)}",
    ]
    if when is not None:
        lines.append(f"qa_date: {when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    lines += [f"Warning: {shown(warning)}" for warning in verdict.warnings]
    if with_report and verdict.report_text:
        lines += shown(verdict.report_text).split("\n")
    lines += f"qa_comments: {shown(verdict.comments)}".split("\n")
    return [line.rstrip() for line in lines]


def _shown(score: float | None) -> str:
    return "none" if score is None else _number(score)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def qa_score(value: object) -> float:
    """Return the value as a QA score, from 0 to 1.

    Raises:
        InvalidInput: it is no such number.
    """
    return _CHECK_SCORE(value)


def _score(given: str | float | None, reported: str, default: float | None) -> float | None:
    text = _line("" if given is None else str(given)) or reported
    return qa_score(text) if text else default


def _text(value: str) -> str:
    """Return text of several lines as it is kept: cleaned, and with nothing in it that nobody sees."""
    return _cleaned(visible(_LINE_BREAK.sub("\n", value)))


def _cleaned(value: str) -> str:
    """Return text of several lines with one kind of line end, no ``<br>``, nothing unprintable.

    What the ledger has from an earlier release is no more than this.
    """
    value = _LINE_BREAK.sub("\n", value)
    value = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    value = _BR.sub("\n", value)
    return "\n".join(line.rstrip() for line in value.split("\n")).strip()


def _line(value: str, kept: Callable[[str], str] = _text) -> str:
    """Return text of one line as it is kept."""
    joined = " ".join(kept(value).split())
    return joined if joined == value else _line(joined, kept)  # two halves of a <br> on two lines have become one
