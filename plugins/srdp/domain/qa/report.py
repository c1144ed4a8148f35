"""The analyst's QA report: its agreed keys are one a line; all other lines are kept as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.visible import visible

# People write the underscore as a blank or a hyphen too; programs look for the underscore only.
_KEY = r"qa[_ -]?(standard|analyst|status|score|date|comments)[^\S\n]*:"
KEY_LINE = re.compile(rf"[^\S\n]*{_KEY}(.*)", re.IGNORECASE)
KEY_ANYWHERE = re.compile(_KEY, re.IGNORECASE)
# What the template says where an analyst has not filled it in.
_PLACEHOLDERS = {"analyst": "your name here", "status": "pass/fail", "comments": "add comments if needed"}
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
# Begun at the first of several blanks only, and with one way to read them: a long row of them takes no longer.
_BR = re.compile(r"(?:(?<![^\S\n])[^\S\n]+)?<[^\S\n]*(?:/[^\S\n]*)?br[^\S\n]*(?:/[^\S\n]*)?>[^\S\n]*\n?", re.IGNORECASE)
# Control characters but tab and line feed; what turns the direction of text around; halves of characters; and what
# is no character.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


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
    for number, line in enumerate(kept_text(text).split("\n"), start=1):
        match = KEY_LINE.match(line)
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
        comments=kept_text("\n".join(comments)),
        text=kept_text("\n".join(others)),
    )


def kept_text(value: str) -> str:
    """Return text of several lines as it is kept: cleaned, and without invisible characters."""
    return cleaned_text(visible(_LINE_BREAK.sub("\n", value)))


def cleaned_text(value: str) -> str:
    """Return text of several lines with one kind of line end, no ``<br>``, nothing unprintable.

    What the ledger has from an earlier release is no more than this.
    """
    value = _LINE_BREAK.sub("\n", value)
    value = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    value = _BR.sub("\n", value)
    return "\n".join(line.rstrip() for line in value.split("\n")).strip()


def kept_line(value: str, kept: Callable[[str], str] = kept_text) -> str:
    """Return text of one line as it is kept."""
    joined = " ".join(kept(value).split())
    return joined if joined == value else kept_line(joined, kept)  # two halves of a <br> on two lines have become one
