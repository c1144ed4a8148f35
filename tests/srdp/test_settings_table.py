from __future__ import annotations

from pathlib import Path

from srdp.settings_table import settings_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_of_settings_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text() == settings_table(), (
        "run: PYTHONPATH=plugins .venv/bin/python -m srdp.settings_table > docs/settings.md"
    )
