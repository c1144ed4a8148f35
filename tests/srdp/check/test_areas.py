"""Whether the areas can be used, and how runs are moved between them."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.areas import entries, prepare

import srdp.settings
from srdp.check import areas as module
from srdp.check.__main__ import main
from srdp.check.areas import check_area, check_moves, check_places
from srdp.domain.common.errors import SettingsError
from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.runs.areas import MARKER
from srdp.families import ALMA, VLA
from srdp.settings import Settings


def test_areas_that_can_be_written_are_left_as_they_were(settings: Settings) -> None:
    assert "all were prepared together" in check_places(settings)
    assert "GB are free" in check_area(settings, "SRDP_QA_AREA")
    assert check_moves(settings) == "every move between areas is a rename."
    assert [entries(area) for area in settings.named_areas().values()] == [[], [], []]


def test_what_is_missing_is_named_with_its_variable(settings: Settings) -> None:
    shutil.rmtree(settings.qa_area)
    for check in (lambda: check_area(settings, "SRDP_QA_AREA"), lambda: check_places(settings)):
        with pytest.raises(StorageUnavailable, match=r"qa \(SRDP_QA_AREA\) is not there"):
            check()


def test_a_spool_area_that_others_can_write_is_wrong(settings: Settings) -> None:
    settings.spool_area.chmod(0o770)
    with pytest.raises(SettingsError, match=r"spool' can be written by others \(mode 0770\).*chmod go-w\.$"):
        check_area(settings, "SRDP_SPOOL_AREA")


@pytest.mark.parametrize("name", ["alma_processing_area", "alma_qa_area"])
def test_areas_of_alma_count_where_they_are_named(settings: Settings, tmp_path: Path, name: str) -> None:
    with_alma = settings.model_copy(update={name: tmp_path / "alma"})
    assert f"SRDP_{name.upper()}" in with_alma.named_areas(ALMA)
    assert f"SRDP_{name.upper()}" not in with_alma.named_areas(VLA)
    with pytest.raises(StorageUnavailable, match=rf"alma \(SRDP_{name.upper()}\) is not there"):
        check_places(with_alma)
    prepare(with_alma)
    check_places(with_alma)


def test_a_link_to_everything_is_no_folder_of_the_analysts(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "analysts").symlink_to("/")
    with pytest.raises(SettingsError, match="SRDP_ANALYST_FILES names /, which contains every file of the host"):
        check_places(settings.model_copy(update={"analyst_files": (tmp_path / "analysts",)}))


def test_the_command_prepares_the_areas_once_and_makes_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)
    for area in settings.named_areas().values():
        (area / MARKER).unlink()
    (settings.qa_area / "vla-20261122-182453-4f7k").mkdir()
    shutil.rmtree(settings.spool_area)
    assert command(monkeypatch, "--prepare-areas") == 1
    assert (
        f"{settings.spool_area} is no directory: mount its file system and make the folder" in capsys.readouterr().err
    )
    assert not (settings.qa_area / MARKER).exists(), "all or none"
    settings.spool_area.mkdir()
    for action in ("is marked as", "was marked before as"):
        assert command(monkeypatch, "--prepare-areas") == 0
        assert f"{settings.qa_area} {action} SRDP_QA_AREA; its file system is mounted at /" in capsys.readouterr().out
    check_places(settings)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["check", *arguments])
    return main()


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


def test_processing_area_without_spare_space_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
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
        == f"a move is a copy, not a rename, which takes time and space, from {qa} to {processing}."
    )
    if other is not None:
        monkeypatch.setattr(module, "can_rename", rename)
        apart = settings.model_copy(update={"alma_qa_area": other})
        assert f"from {processing} to {other}; from" in check_moves(apart)
        assert not list(other.glob(".rename-*"))
