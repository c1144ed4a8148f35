"""An area is known by its marker, and is apart from the others."""

from __future__ import annotations

import os
import time
import timeit
from pathlib import Path

import pytest
from tests.areas import make_areas
from tests.mounts import bind_mounted

from srdp.domain.common.errors import SettingsError
from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.runs.areas import (
    MARKER,
    check_apart,
    check_area_is_there,
    check_areas,
    fault_of_analysts_folder,
    faults_of_paths,
    prepare_areas,
)

PROCESSING, QA, SPOOL, CACHE = "SRDP_PROCESSING_AREA", "SRDP_QA_AREA", "SRDP_SPOOL_AREA", "SRDP_CACHE_AREA"
RUN = "vla-20261122-182453-4f7k"


@pytest.fixture
def areas(tmp_path: Path) -> dict[str, Path]:
    named = {PROCESSING: tmp_path / "processing", QA: tmp_path / "qa", SPOOL: tmp_path / "spool"}
    make_areas(named)
    return named


# Is it there


def test_an_area_that_is_there_passes_at_next_to_no_cost(areas: dict[str, Path]) -> None:
    check_areas(areas)
    seconds = min(timeit.repeat(lambda: check_areas(areas), timer=time.process_time, number=20, repeat=5)) / 20
    assert seconds < 0.001, "a step begins with it"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ("nothing", "is not there: see whether its file system is mounted"),
        ("an empty folder", "is empty, perhaps because its file system is not mounted: mount it"),
        ("another folder", r"does not hold \.srdp-area\.json, which marks an area"),
        ("a file", "is not there"),
        ("nonsense", r"does not hold \.srdp-area\.json"),
        ("a pipe", r"does not hold \.srdp-area\.json"),
        ("a link", r"does not hold \.srdp-area\.json"),
    ],
)
def test_what_is_not_the_prepared_folder_is_waited_for(areas: dict[str, Path], left: str, said: str) -> None:
    qa, elsewhere = areas[QA], areas[QA].with_name("elsewhere")
    qa.rename(elsewhere)
    if left == "a file":
        qa.touch()
    elif left != "nothing":
        qa.mkdir()
    if left == "another folder":
        (qa / "thesis.tex").touch()
    elif left == "nonsense":
        (qa / MARKER).write_text('{"area": ["SRDP_QA_AREA"], "installation": 1}')
    elif left == "a pipe":
        os.mkfifo(qa / MARKER)
    elif left == "a link":
        (qa / MARKER).symlink_to(elsewhere / MARKER)
    for check in (lambda: check_areas(areas), lambda: check_area_is_there(qa, QA)):
        with pytest.raises(StorageUnavailable, match=said) as reported:
            check()
        assert "(SRDP_QA_AREA)" in str(reported.value)
        assert str(reported.value).endswith("the step continues by itself.")


def test_an_area_of_another_use_is_refused(areas: dict[str, Path]) -> None:
    exchanged = {**areas, QA: areas[SPOOL], SPOOL: areas[QA]}
    with pytest.raises(StorageUnavailable, match="was prepared as SRDP_SPOOL_AREA, but SRDP_QA_AREA names it"):
        check_areas(exchanged)
    with pytest.raises(SettingsError, match="was prepared as SRDP_SPOOL_AREA, but SRDP_QA_AREA names it"):
        list(prepare_areas(exchanged, force=True))


def test_an_area_of_another_installation_is_refused(areas: dict[str, Path], tmp_path: Path) -> None:
    others = {PROCESSING: tmp_path / "theirs" / "processing", QA: tmp_path / "theirs" / "qa"}
    make_areas(others)
    mixed = {**areas, QA: others[QA]}
    with pytest.raises(StorageUnavailable, match="were prepared for two installations"):
        check_areas(mixed)
    with pytest.raises(SettingsError, match="were prepared for two installations"):
        list(prepare_areas(mixed, force=True))


# Apart


def test_areas_are_apart_whatever_leads_to_them(areas: dict[str, Path], tmp_path: Path) -> None:
    (areas[PROCESSING] / "inside").mkdir()
    (tmp_path / "link").symlink_to(areas[PROCESSING])
    nested = {PROCESSING: areas[PROCESSING], QA: tmp_path / "link" / "inside"}
    with pytest.raises(SettingsError, match=r"inside \(SRDP_QA_AREA\) is in .*processing \(SRDP_PROCESSING_AREA\)"):
        check_apart(nested)


def test_one_folder_under_two_names_is_refused(areas: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(areas[PROCESSING])
    alma = "SRDP_ALMA_PROCESSING_AREA"
    for check in (check_apart, prepare_areas):
        with pytest.raises(SettingsError, match=r"name one folder, .*, or leave SRDP_ALMA_"):
            list(check({**areas, alma: tmp_path / "link"}) or ())


def test_a_bind_mount_of_an_area_is_the_area(areas: dict[str, Path], tmp_path: Path) -> None:
    (areas[PROCESSING] / "deep" / "inside").mkdir(parents=True)
    (tmp_path / "bound").mkdir()
    with bind_mounted(areas[PROCESSING], tmp_path / "bound"):
        for named, said in (("bound", "name one folder"), ("bound/deep/inside", "is in")):
            with pytest.raises(SettingsError, match=said):
                check_apart({**areas, QA: tmp_path / named})


def test_an_area_whose_file_system_is_unmounted_is_away(areas: dict[str, Path], tmp_path: Path) -> None:
    mounted = {**areas, QA: tmp_path / "mount"}
    (tmp_path / "mount").mkdir()
    with bind_mounted(areas[QA], tmp_path / "mount"):
        check_areas(mounted)
    with pytest.raises(StorageUnavailable, match="is empty, perhaps because its file system is not mounted"):
        check_areas(mounted)


def test_the_cache_alone_may_are_beside_the_runs(areas: dict[str, Path]) -> None:
    beside = areas[PROCESSING] / "for_users"
    make_areas({**areas, CACHE: beside})
    check_areas({**areas, CACHE: beside})
    for folder in (areas[PROCESSING] / RUN, areas[PROCESSING] / "deep" / "in", areas[QA] / "for_users"):
        folder.mkdir(parents=True)
        with pytest.raises(SettingsError, match="is in"):
            list(prepare_areas({**areas, CACHE: folder}))


# By their paths alone, when the settings are read


def test_paths_that_cannot_be_areas_are_named() -> None:
    home = Path("/opt/srdp")

    def faults(**named: str) -> str:
        return "; ".join(faults_of_paths({f"SRDP_{name}_AREA": Path(path) for name, path in named.items()}, home))

    assert faults(PROCESSING="/data/p", QA="/data/q", CACHE="/data/p/cache") == ""
    assert "name one folder, /data/p" in faults(PROCESSING="/data/p", QA="/data/x/../p")
    assert "SRDP_QA_AREA (/data/p/q) is in SRDP_PROCESSING_AREA" in faults(PROCESSING="/data/p", QA="/data/p/q")
    assert "is in" in faults(PROCESSING="/data/p", CACHE=f"/data/p/{RUN}")
    assert "holds the project's own folder, /opt/srdp" in faults(PROCESSING="/opt")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/", "which contains every file of the host"),
        ("/x/..", "which contains every file of the host"),
        ("/etc", "which is the system's"),
        ("/proc/self/root", "which is the system's"),
        ("/data", r"which holds /data/spool \(SRDP_SPOOL_AREA\)"),
        ("/data/spool", "which holds /data/spool"),
        ("/data/spool/run", r"which is in /data/spool \(SRDP_SPOOL_AREA\)"),
        ("/opt/srdp/include", r"which is in /opt/srdp \(SRDP_HOME\)"),
        ("/opt", r"which holds /opt/srdp \(SRDP_HOME\)"),
        ("/home/analysts", None),
        ("/data/analysts", None),
        ("/data/spool2", None),
    ],
)
def test_a_folder_of_the_analysts_holds_nothing_of_the_services(folder: str, said: str | None) -> None:
    own = {SPOOL: Path("/data/spool"), "SRDP_HOME": Path("/opt/srdp")}
    fault = fault_of_analysts_folder(Path(folder), own)
    assert (fault is None) if said is None else (fault is not None and said.replace("\\", "") in fault)


# Prepared


def test_foreign_folder_is_marked_only_with_force(areas: dict[str, Path]) -> None:
    qa = areas[QA]
    (qa / MARKER).unlink()
    for name in (RUN, f".{RUN}.removed", "lost+found"):
        (qa / name).mkdir()
    (qa / "thesis.tex").touch()
    with pytest.raises(SettingsError, match=r"qa holds something that is not a run \('thesis\.tex'\)"):
        list(prepare_areas(areas))
    assert not (qa / MARKER).exists()
    (qa / "thesis.tex").unlink()
    list(prepare_areas(areas))
    (qa / MARKER).unlink()
    (qa / "thesis.tex").touch()
    list(prepare_areas(areas, force=True))
    check_areas(areas)


def test_a_further_area_belongs_to_the_installation(areas: dict[str, Path], tmp_path: Path) -> None:
    make_areas({**areas, CACHE: tmp_path / "cache"})
    check_areas({**areas, CACHE: tmp_path / "cache"})
