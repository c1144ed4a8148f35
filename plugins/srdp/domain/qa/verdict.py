"""The analyst's verdict: brought together from form and report, and compared with the former one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from srdp.domain.common.authors import on_behalf
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import real_number
from srdp.domain.qa.report import KEY_ANYWHERE, KEY_LINE, QaReport, cleaned_text, kept_line, kept_text

#: The standard that a verdict is given by when nobody says another.
DEFAULT_STANDARD: Final = "SRDP Pilot"

# A box of a checklist at the beginning of a line, with what is in it.
_BOX = re.compile(r"^[^\S\n]*(?:[-*][^\S\n]+)?\[([^\S\n]?|[xX\u2713\u2714])\]", re.MULTILINE)

_LONGEST_FIELD = 200
_LONGEST_TEXT = 20_000
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
    """A verdict that can be written as notes; lines that could be read as other keys are refused.

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
            if line != kept_line(line, cleaned_text) or len(line) > _LONGEST_FIELD or KEY_ANYWHERE.search(line):
                raise InvalidInput(
                    f"{name} {quoted(line)} must be one line of at most {_LONGEST_FIELD} characters without any of the "
                    "QA keys in it."
                )
        for name, text in (("qa_comments", self.comments), ("the QA report", self.report_text)):
            if len(text) > _LONGEST_TEXT:
                raise InvalidInput(f"{name} has {len(text)} characters: shorten it to {_LONGEST_TEXT}.")
            if text != cleaned_text(text) or any(KEY_LINE.match(line) for line in text.split("\n")):
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
    texts = [text for text in dict.fromkeys((kept_text(comments or ""), report.comments)) if text]
    default_score = former.score if former is not None and former.flag is flag else _DEFAULT_SCORES[flag]
    named = kept_line(analyst or "") or report.analyst
    new = QaVerdict(
        flag=flag,
        standard=kept_line(standard or "") or report.standard or before.standard,
        analyst=named or before.analyst,
        score=_score(score, report.score, default_score),
        comments="\n".join(texts) or before.comments,
        report_text=report.text or before.report_text,
        given_by=kept_line(given_by),
        assigned_to=kept_line(assigned_to),
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


def _shown(score: float | None) -> str:
    return "none" if score is None else shown_score(score)


def shown_score(value: float) -> str:
    """Return a score as notes show it, whole numbers without a point."""
    return str(int(value)) if value == int(value) else repr(value)


def qa_score(value: object) -> float:
    """Return the value as a QA score, from 0 to 1.

    Raises:
        InvalidInput: it is no such number.
    """
    return _CHECK_SCORE(value)


def _score(given: str | float | None, reported: str, default: float | None) -> float | None:
    text = kept_line("" if given is None else str(given)) or reported
    return qa_score(text) if text else default
