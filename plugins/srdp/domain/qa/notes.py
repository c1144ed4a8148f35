"""The notes of a verdict: plain text for the archive, a page for the weblog."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import UTC, datetime

from srdp.domain.qa.verdict import QaVerdict, shown_score


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
        f"qa_score: {'' if verdict.score is None else shown_score(verdict.score)}",
    ]
    if when is not None:
        lines.append(f"qa_date: {when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    lines += [f"Warning: {shown(warning)}" for warning in verdict.warnings]
    if with_report and verdict.report_text:
        lines += shown(verdict.report_text).split("\n")
    lines += f"qa_comments: {shown(verdict.comments)}".split("\n")
    return [line.rstrip() for line in lines]
