from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import pytest
from tests.killing import killed_at_each_file_operation

from srdp.domain.common.errors import Refused
from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.run_marker import MARKER, RunMarker, Standing, check_marked, make_marked, opened, standing_of

OWN = RunMarker(PipelineRunId("vla-20261122-182453-4f7k"), uuid.uuid4())
OTHER = RunMarker(PipelineRunId("vla-20261122-182453-4f7m"), uuid.uuid4())


def standing(place: Path, marker: RunMarker = OWN) -> Standing:
    with opened(place) as descriptor:
        return standing_of(descriptor, marker)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / OWN.pipeline_run_id


def test_a_directory_that_is_made_is_the_runs_and_nobody_elses(place: Path) -> None:
    make_marked(place, OWN)
    make_marked(place, OWN)
    (place / "working").mkdir()
    (place / "working" / "casa.log").touch()
    assert standing(place) is Standing.OWN
    assert standing(place, OTHER) is Standing.FOREIGN
    assert standing(place, RunMarker(OWN.pipeline_run_id, uuid.uuid4())) is Standing.FOREIGN
    assert [path.name for path in place.iterdir() if path.is_file()] == [MARKER]


def test_killed_at_any_file_operation_the_next_call_makes_it(place: Path) -> None:
    kills = 0
    for number in killed_at_each_file_operation(
        lambda: shutil.rmtree(place, ignore_errors=True), lambda: make_marked(place, OWN)
    ):
        kills = number
        assert not place.exists() or standing(place) in {Standing.OWN, Standing.EMPTY}
        make_marked(place, OWN)
        assert standing(place) is Standing.OWN
    assert kills > 3


def test_an_area_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="not there"):
        make_marked(tmp_path / "area" / OWN.pipeline_run_id, OWN)
    assert list(tmp_path.iterdir()) == []


def test_unmarked_directory_with_files_is_not_the_runs(place: Path) -> None:
    (place / "products").mkdir(parents=True)
    (place / "products" / "image.fits").touch()
    with pytest.raises(Refused, match=rf"is not the directory of {OWN.pipeline_run_id}: .*nothing was put there"):
        make_marked(place, OWN)
    with pytest.raises(Refused, match="it stays"):
        check_marked(place, OWN, "it stays")
    assert not (place / MARKER).exists()


def test_a_directory_without_a_file_is_made_the_runs(place: Path) -> None:
    """An earlier release made three empty places, and no marker, when a run was opened."""
    (place / "rawdata").mkdir(parents=True)
    assert standing(place) is Standing.EMPTY
    make_marked(place, OWN)
    assert standing(place) is Standing.OWN


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "nonsense", "list", "huge", "device"])
def test_invalid_marker_proves_nothing(place: Path, tmp_path: Path, what: str) -> None:
    make_marked(tmp_path / "elsewhere", OWN)
    place.mkdir()
    marker = place / MARKER
    if what == "link":
        marker.symlink_to(tmp_path / "elsewhere" / MARKER)
    elif what == "pipe":
        os.mkfifo(marker)
    elif what == "folder":
        marker.mkdir()
    elif what == "device":
        marker.symlink_to("/dev/zero")
    else:
        marker.write_bytes({"nonsense": b"\xff{", "list": b"[[" * 2000, "huge": b" " * 10**6}[what])
    assert standing(place) is Standing.FOREIGN


@pytest.mark.parametrize("what", ["link", "file"])
def test_what_is_no_directory_is_not_opened(place: Path, tmp_path: Path, what: str) -> None:
    make_marked(tmp_path / "elsewhere", OWN)
    place.touch() if what == "file" else place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="not the directory itself"):
        make_marked(place, OWN)
