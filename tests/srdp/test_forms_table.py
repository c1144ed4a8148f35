from __future__ import annotations

from pathlib import Path

from srdp.forms_table import forms_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "forms.md"


def test_the_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text() == forms_table(), (
        "run: PYTHONPATH=plugins .venv/bin/python -m srdp.forms_table > docs/forms.md"
    )
