from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from srdp.domain.common.errors import ServiceUnavailable, SrdpError, shortened
from srdp.domain.files.storage import (
    HEALING,
    DiskFull,
    LocalFilesError,
    StorageUnavailable,
    check_area,
    heals,
    local_files,
    raise_if_it_heals,
    storage_error,
)

AREA = Path("/area/x")


@pytest.mark.parametrize("number", sorted(HEALING), ids=lambda number: errno.errorcode[number])
def test_healable_errors_are_waited_for_with_a_remedy(number: int) -> None:
    said = r"^.{0,60}/area/x could not be finished: .*by itself\.$"
    with pytest.raises(StorageUnavailable, match=said) as reported, local_files(AREA):
        raise OSError(number, os.strerror(number))
    assert isinstance(reported.value, ServiceUnavailable)


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EEXIST, errno.EINVAL]
)
def test_what_does_not_heal_is_final(number: int) -> None:
    with pytest.raises(LocalFilesError, match="Fix the cause and try again") as reported, local_files(AREA):
        raise OSError(number, os.strerror(number))
    assert not isinstance(reported.value, ServiceUnavailable)


def test_away_is_not_gone_and_a_missing_right_is_a_mistake() -> None:
    assert heals(OSError(errno.ESTALE, "Stale file handle"))
    assert not heals(PermissionError(errno.EACCES, "Permission denied"))
    assert not heals(FileNotFoundError(errno.ENOENT, "No such file"))
    with pytest.raises(StorageUnavailable, match="Stale"):
        raise_if_it_heals(OSError(errno.ESTALE, "Stale file handle"), AREA)


def test_of_many_errors_the_first_is_reported() -> None:
    many = [(f"/area/from/{n}", f"/area/to/{n}", "[Errno 28] No space left on device") for n in range(60)]
    reported = str(storage_error(shutil.Error(many), "/area/x could not be copied"))
    assert "No space left on device" in reported
    assert "59 more" in reported
    assert len(reported) < 300


@pytest.mark.parametrize("limit", [60, 100, 164, 200, 2_000])
def test_no_limit_is_too_small_to_shorten_to(limit: int) -> None:
    reported = shortened("x" * 3_000_000, limit)
    assert len(reported) <= limit
    assert "characters are left out" in reported


def test_long_messages_keep_beginning_and_end() -> None:
    reported = str(SrdpError("Begin " + "x" * 13_050 + " end."))
    assert len(reported) == SrdpError.longest
    assert reported.startswith("Begin xxx")
    assert reported.endswith("xxx end.")
    assert "characters are left out" in reported
    assert shortened("short", 10) == "short"


def test_missing_full_or_readonly_area_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_area(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageUnavailable, match="is not there: see whether its file system is mounted"):
        check_area(tmp_path / "none")
    for number, words in ((errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.ESTALE, "Stale")):

        def refuse(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "mkdir", refuse)
        with pytest.raises(StorageUnavailable, match=words) as reported:
            check_area(tmp_path)
        assert isinstance(reported.value, DiskFull) is (number == errno.ENOSPC)
