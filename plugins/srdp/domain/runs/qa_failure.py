"""What a person says when the QA of runs has failed: which runs, and why."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.form_fields import said
from srdp.domain.common.visible import visible
from srdp.domain.runs.identifiers import (
    PipelineRunId,
    pipeline_run_id,
    project_code,
)

#: How long a reason may be, in characters.
LONGEST_REASON = 1000
# Control characters but tab and line feed; halves of characters.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: How long the reason for taking a verdict back may be, in characters.
LONGEST_WITHDRAWAL_REASON = 2000


@dataclass(frozen=True)
class FailedQa:
    """Which runs failed QA: exactly one of the first three is given.

    Attributes:
        run_id: one run.
        subject: every open version of an execution block, or of all requests for a MOUS.
        project: every run of a project that waits for QA.
        number: how many runs of the project that are, by which a person confirms that all of them are meant; None if
            nobody did.
    """

    run_id: PipelineRunId | None = None
    subject: str | None = None
    project: str | None = None
    number: int | None = None


def failed_qa(
    check_subject: Callable[[object], str], *, run_id: object, subject: object, project: object, number: object
) -> FailedQa:
    """Return what was asked for, from a form's fields; each may be empty.

    Args:
        check_subject: the parser for the name of what the family's runs work on.
        run_id: a pipeline run ID.
        subject: an EB's name, or the UID of a MOUS.
        project: a project code.
        number: how many runs of the project are meant.

    Raises:
        InvalidInput: not exactly one of the first three is given, one has not its form, or the number is given without
            a project.
    """
    given = {name: _text(value) for name, value in (("r", run_id), ("s", subject), ("p", project))}
    if sum(text is not None for text in given.values()) != 1:
        raise InvalidInput(
            "Say with exactly one of the form's fields which runs failed QA; "
            f"{'none' if not any(given.values()) else 'more than one'} was given."
        )
    confirmed = _text(number)
    if given["p"] is not None:
        return FailedQa(project=project_code(given["p"]), number=None if confirmed is None else _number(confirmed))
    if confirmed is not None:
        raise InvalidInput("The number of runs confirms a whole project: leave it empty with anything else.")
    if given["r"] is not None:
        return FailedQa(run_id=pipeline_run_id(given["r"]))
    return FailedQa(subject=check_subject(given["s"]))


def failure_reason(value: object) -> str:
    """Return why QA failed, safe for the ledger and a mail: with hidden characters written out.

    Raises:
        InvalidInput: there is none, it is too long, or holds what cannot be shown.
    """
    return _reason(
        value,
        LONGEST_REASON,
        "A run fails QA with a reason: say why, in words that the observers will understand.",
    )


def withdrawal_reason(value: object) -> str:
    """Return why a verdict is taken back, safe for the ledger and a mail, likewise.

    Raises:
        InvalidInput: there is none, it is too long, or holds what cannot be shown.
    """
    return _reason(value, LONGEST_WITHDRAWAL_REASON, "A verdict is withdrawn with a reason: say why.")


def _reason(value: object, longest: int, missing: str) -> str:
    text = _text(value)
    if text is None:
        raise InvalidInput(missing)
    text = text.replace("\r\n", "\n")
    if len(text) > longest:
        raise InvalidInput(f"The reason has {len(text)} characters: shorten it to {longest}.")
    if _UNPRINTABLE.search(text):
        raise InvalidInput("The reason holds control characters: type it, or paste plain text.")
    return visible(text)


def _text(value: object) -> str | None:
    text = said(value)
    return None if text is None else text.strip()


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise InvalidInput(f"{quoted(text)} is not a number of runs: give the number that the refusal names.")
    return int(text)
