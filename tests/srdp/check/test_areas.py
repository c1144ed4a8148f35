"""Whether the areas can be used, and how runs are moved between them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from srdp.check import areas as module
from srdp.check.areas import areas, check_area, check_areas, check_moves
from srdp.domain.errors import SettingsError
from srdp.domain.families import ALMA, VLA
from srdp.settings import Settings


def test_areas_that_can_be_written_are_left_as_they_were(settings: Settings) -> None:
    assert check_areas(settings) == "all can be written."
    assert "GB are free" in check_area(settings, "SRDP_QA_AREA")
    assert check_moves(settings) == "every move between areas is a rename."
    assert [list(area.iterdir()) for area in areas(settings).values()] == [[], [], []]


def test_what_is_missing_is_named_with_its_variable(settings: Settings) -> None:
    settings.qa_area.rmdir()
    with pytest.raises(SettingsError, match="qa is no directory: make it, or set SRDP_QA_AREA"):
        check_areas(settings)


@pytest.mark.parametrize("name", ["alma_processing_area", "alma_qa_area"])
def test_areas_of_alma_count_where_they_are_named(settings: Settings, tmp_path: Path, name: str) -> None:
    with_alma = settings.model_copy(update={name: tmp_path / "alma"})
    for family in (None, ALMA):
        with pytest.raises(SettingsError, match=f"alma is no directory: make it, or set SRDP_{name.upper()}"):
            check_areas(with_alma, family)
    check_areas(with_alma, VLA)
    (tmp_path / "alma").mkdir()
    check_areas(with_alma)


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EDQUOT, "quota"), (errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only")]
)
def test_what_only_writing_shows_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refused(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, "fsync", refused)
    with pytest.raises(SettingsError, match=rf"spool cannot be written \(.*{said}.*SRDP_SPOOL_AREA"):
        check_area(settings, "SRDP_SPOOL_AREA")


def test_a_processing_area_without_the_space_that_a_fetch_leaves_is_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _area: SimpleNamespace(free=9 * 10**8))
    assert "1 GB are free" in check_area(settings, "SRDP_QA_AREA")
    with pytest.raises(SettingsError, match=r"0\.9 GB free, less than the 1 GB .*SRDP_FETCH_SPARE_GB"):
        check_area(settings, "SRDP_PROCESSING_AREA")


def test_each_pair_of_areas_is_tried_in_both_directions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.measurement_set_cache.mkdir()
    other = Path(os.path.realpath("/dev/shm")) if os.access("/dev/shm", os.W_OK) else None
    tried: list[tuple[Path, Path]] = []
    rename = module.can_rename
    monkeypatch.setattr(module, "can_rename", lambda one, two: tried.append((one, two)) or rename(one, two))
    assert check_moves(settings) == "every move between areas is a rename."
    processing, qa, cache = settings.processing_area, settings.qa_area, settings.measurement_set_cache
    assert set(tried) == {
        (processing, qa), (processing, cache), (qa, processing), (qa, cache), (cache, processing), (cache, qa)
    }  # fmt: skip
    assert len(tried) == 6
    # Refused in one direction only, as a quota does: device numbers would not tell.
    monkeypatch.setattr(module, "can_rename", lambda one, two: (one, two) != (qa, processing))
    assert (
        check_moves(settings)
        == f"a move is no rename but a copy, which takes time and room, from {qa} to {processing}."
    )
    if other is not None:
        monkeypatch.setattr(module, "can_rename", rename)
        apart = settings.model_copy(update={"alma_qa_area": other})
        assert f"from {processing} to {other}; from" in check_moves(apart)
        assert not list(other.glob(".rename-*"))
