"""What must hold of every report of every linter."""

from __future__ import annotations

import contextlib

from srdp.domain.common.lint import LintFailed, Report


def assert_sound(report: Report, content: bytes) -> None:
    """Assert that each finding points into the file and is one line of printable text, and that all are raised."""
    lines = content.decode("utf-8", errors="replace").split("\n")
    for finding in (*report.findings, *report.warnings):
        assert 1 <= finding.line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert finding.sentence.isprintable()
        assert finding.sentence.endswith(".")
    with contextlib.suppress(LintFailed):
        report.refuse()
        assert not report.findings
