"""The AQUA report: which stages ran, and the QA scores that the pipeline gave them.

The export stage writes it, and so is never in it itself. It is the pipeline's, and whatever else ran as its user's: its
texts and numbers go into the ledger, logs and mails, so they are cut here to what a report can mean, with a note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from srdp.domain.common.errors import InvalidInput, quoted, shortened
from srdp.domain.common.safe_xml import XmlElement, parse_xml


class Band(StrEnum):
    """The band that a QA score is in, as the pipeline's weblog colours it."""

    ERROR = "error"
    WARNING = "warning"
    SUBOPTIMAL = "suboptimal"
    GOOD = "good"
    NO_SCORE = "no score"


_LOWEST, _HIGHEST = -0.1, 1.0
_LONGEST_REASON = 500
_LONGEST_NAME = 100
# The longest recipes have some sixty.
_MOST_STAGES = 1000
_UPPER_LIMITS = ((0.33, Band.ERROR), (0.66, Band.WARNING), (0.90, Band.SUBOPTIMAL))


def band(score: float | None) -> Band:
    """Return the band that a QA score is in.

    Args:
        score: from 0 to 1; -0.1, which is in the error band, says that the scorer crashed; ``None`` is no score.
    """
    if score is None:
        return Band.NO_SCORE
    return next((band for limit, band in _UPPER_LIMITS if score <= limit), Band.GOOD)


@dataclass(frozen=True)
class StageScore:
    """One stage in the report.

    Attributes:
        number: its place in the run, from 1; 0 if the report does not say.
        name: the pipeline task that it ran.
        score: its representative QA score from 0 to 1, -0.1 if the scorer crashed; ``None`` if it has none.
        reason: what the pipeline says about the score; without its middle, and with a note of it, if it is long.
        raw_score: the score as the report has it, if that is none from -0.1 to 1 and was cut; else empty.
    """

    number: int
    name: str
    score: float | None
    reason: str
    raw_score: str = ""

    @property
    def scorer_crashed(self) -> bool:
        """Whether the score says nothing but that it could not be computed."""
        return self.score is not None and self.score < 0


@dataclass(frozen=True)
class AquaReport:
    """What an AQUA report says.

    Attributes:
        stages: the stages that ran, in their order.
        casa_version: the release of CASA, if the report names it.
        pipeline_version: the release of the pipeline, if the report names it.
    """

    stages: tuple[StageScore, ...]
    casa_version: str | None
    pipeline_version: str | None

    @property
    def lowest(self) -> StageScore | None:
        """The stage with the lowest score, the first of several; ``None`` if no stage has a score."""
        return min(
            (stage for stage in self.stages if stage.score is not None),
            key=lambda stage: stage.score if stage.score is not None else math.inf,
            default=None,
        )


def read_aqua_report(content: bytes, where: str) -> AquaReport:
    """Read an AQUA report.

    Args:
        content: the file's bytes.
        where: the file's path, for the error's sentence.

    Raises:
        InvalidInput: it is not well-formed, declares a document type, or has more stages than any recipe.
    """
    root = parse_xml(content, where, root=None)
    elements = root.findall(".//QaPerStage/Stage")
    if len(elements) > _MOST_STAGES:
        raise InvalidInput(f"{where} has {len(elements)} stages, and no recipe has more than {_MOST_STAGES}.")
    stages = [_stage(element) for element in elements]
    return AquaReport(
        stages=tuple(sorted(stages, key=lambda stage: stage.number)),
        casa_version=_text(root, "CasaVersion"),
        pipeline_version=_text(root, "PipelineVersion"),
    )


def _stage(element: XmlElement) -> StageScore:
    element_of_score = element.find("RepresentativeScore")
    raw_score, reason = "", ""
    if element_of_score is not None:
        raw_score = str(element_of_score.get("Score", ""))
        reason = str(element_of_score.get("Reason", "")).strip()
    number, score = str(element.get("Number", "")), _score(raw_score)
    return StageScore(
        number=int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0,
        name=shortened(str(element.get("Name", "")).strip(), _LONGEST_NAME),
        score=score if score is None else min(max(score, _LOWEST), _HIGHEST),
        reason=shortened(reason, _LONGEST_REASON),
        raw_score="" if score is None or _LOWEST <= score <= _HIGHEST else quoted(raw_score),
    )


def _score(text: str) -> float | None:
    try:
        score = float(text)
    except ValueError:  # the pipeline writes the string None
        return None
    return score if math.isfinite(score) else None


def _text(root: XmlElement, name: str) -> str | None:
    text = str(root.findtext(f".//QaSummary/{name}") or "").strip()
    return shortened(text, _LONGEST_NAME) or None
