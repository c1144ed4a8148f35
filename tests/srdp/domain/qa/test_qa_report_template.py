"""The checklist that an analyst copies to ``qa_report.txt``."""

from __future__ import annotations

from pathlib import Path

import pytest

from srdp.domain.qa.notes import render_plain
from srdp.domain.qa.report import QaReport, parse_qa_report
from srdp.domain.qa.verdict import QaFlag, qa_verdict

TEMPLATE = (Path(__file__).parents[4] / "include" / "templates" / "qa_report" / "vla_calibration.txt").read_text(
    "utf-8"
)
FIRST_QUESTION = "[ ] Are all stages of the recipe in the weblog?"


def test_unedited_it_says_nothing_but_its_questions():
    report = parse_qa_report(TEMPLATE)
    assert FIRST_QUESTION in report.text
    assert report == QaReport(text=report.text)


@pytest.mark.parametrize("flag", QaFlag)
def test_unedited_it_changes_no_verdict(flag):
    verdict = qa_verdict(flag, parse_qa_report(TEMPLATE), analyst="A. Nalyst")
    assert verdict.report_text
    assert (verdict.standard, verdict.analyst, verdict.score, verdict.comments) == (
        qa_verdict(flag).standard,
        "A. Nalyst",
        qa_verdict(flag).score,
        "",
    )


def test_every_key_of_it_is_read_when_it_is_filled_in():
    filled = (
        TEMPLATE.replace("qa_standard:", "qa_standard: SRDP 2")
        .replace("Your Name Here", "A. Nalyst")
        .replace("Pass/Fail", "Fail")
        .replace("qa_score:", "qa_score: 0.2")
        .replace(FIRST_QUESTION, FIRST_QUESTION.replace("[ ]", "[x]"))
        .replace("Add comments if needed", "Strong RFI\nin spw 5")
    )
    report = parse_qa_report(filled)
    assert (report.standard, report.analyst, report.status, report.score, report.comments) == (
        "SRDP 2", "A. Nalyst", "Fail", "0.2", "Strong RFI\nin spw 5",
    )  # fmt: skip
    assert "qa_" not in report.text
    notes = render_plain(qa_verdict(QaFlag.FAIL, report))
    assert FIRST_QUESTION.replace("[ ]", "[x]") in notes
    assert notes.endswith("qa_comments: Strong RFI\nin spw 5")
