"""Retaking the guides' pictures: which there are, and what is said when there is nothing to take them from."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import pictures

BY_HAND = {"grid-vla-qa-pass"}


def test_every_picture_is_retaken_or_known_as_manual():
    assert {path.stem for path in pictures.PICTURES.iterdir()} == {*pictures.SHOTS} | BY_HAND


def test_unknown_picture_is_refused_with_known_names(capsys: pytest.CaptureFixture[str]):
    assert pictures.main(["mail", "letter"]) == 1
    said = capsys.readouterr().err
    assert "There is no picture letter: " in said
    assert "mail-alma" in said


def test_without_a_demo_it_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    assert pictures.main([]) == 1
    assert "make demo-alma" in capsys.readouterr().err
