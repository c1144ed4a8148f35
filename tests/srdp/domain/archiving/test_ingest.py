from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ingesting import CALTABLES, FLAGS, MANIFEST, fill_run_directory

from srdp import families
from srdp.domain.archiving.casa_input import check_what_casa_read, templates_read, used_by_casa
from srdp.domain.archiving.ingest import (
    cache_place,
    check_archivable,
    is_recorded_file,
    measurement_set,
    spooled_tar,
    weblog_name,
)
from srdp.domain.archiving.products import ngas_id
from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.files.storage import LocalFilesError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.runs.identifiers import execution_block_name, pipeline_run_id
from srdp.domain.runs.ledger_records import FileOfIngest, PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import Areas, RunDirectory
from srdp.domain.runs.states import RunState
from srdp.families import family_of

RUN = pipeline_run_id("vla-20261122-182453-4f7k")
EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
VLA = families.VLA.contents
BEFORE = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / RUN)
    fill_run_directory(made, EB)
    return made


def call_the_weblog(directory: RunDirectory, name: str) -> None:
    manifest = directory.products / MANIFEST
    manifest.write_text(manifest.read_text().replace('<weblog name="weblog.tgz"/>', name))


def test_a_run_with_all_that_a_restore_needs_can_be_archived(directory: RunDirectory) -> None:
    check_archivable(directory, VLA, EB, BEFORE)


def test_all_that_stands_against_it_is_reported_at_once(directory: RunDirectory) -> None:
    (directory.products / CALTABLES).unlink()
    (directory.products / f"{EB}.ms.calapply.txt").write_text("")
    (directory.working / "errorexit-20990101T000000.txt").touch()
    with pytest.raises(Refused) as caught:
        check_archivable(directory, VLA, EB, BEFORE)
    assert [what for what in (CALTABLES, "apply list", "errorexit-2099") if what not in str(caught.value)] == []


def given_a_template() -> PipelineRun:
    now = datetime.now(UTC)
    return PipelineRun(
        pipeline_run_id=RUN, kind=families.VLA.kind, subject=EB, project="13A-537", locator="uid://evla/execblock/x",
        version=1, state=RunState.AWAITING_QA, dag_id="vla_calibration", dag_run_id="manual__1", requested_by="one",
        recipe="vla_calibration", cores=1, memory_gb=1, failure=None, ppr_sha256=None, lowest_score=None,
        scores=None, created_at=now, state_since=now,
    )  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "is a named pipe"),
        (lambda path: path.symlink_to("/etc/hostname"), "is a symbolic link"),
        (lambda path: path.touch() or os.truncate(path, 40 * 10**9), "is larger than"),
    ],
)
def test_non_files_instead_of_templates_are_refused(
    directory: RunDirectory, make: Callable[[Path], None], said: str
) -> None:
    given = {"flagtemplate.txt": SubmittedFile(name="flagtemplate.txt", content=FLAGS.encode(), source="pasted")}
    compare = functools.partial(check_what_casa_read, directory, VLA, families.VLA.inputs, given_a_template(), given)
    calls: dict[Path, Callable[[], object]] = {
        directory.working / f"{EB}.flagtemplate.txt": compare,
        directory.working / "flagtemplate.txt": compare,
        next(directory.products.glob("*pipeline_manifest.xml")): lambda: weblog_name(directory),
    }
    for path, call in calls.items():
        path.rename(path.with_name("aside")) if path.exists() else None
        make(path)
        with pytest.raises(UnsafeFile, match=f"{path.name}' {said}"):
            call()
        path.unlink()
        path.with_name("aside").rename(path) if path.with_name("aside").exists() else None


def test_unreadable_flag_template_is_reported(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editors replace a file: then it is the analyst's, with whatever mode the analyst's new files have."""

    open_ = os.open

    def unreadable(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == f"{EB}.flagtemplate.txt":
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_(path, flags, mode, dir_fd=dir_fd)

    run = given_a_template()
    monkeypatch.setattr(os, "open", unreadable)
    with pytest.raises(LocalFilesError, match=r"flagtemplate\.txt' could not be read: Permission denied"):
        check_what_casa_read(
            directory,
            VLA,
            families.VLA.inputs,
            run,
            {"flagtemplate.txt": SubmittedFile(name="flagtemplate.txt", content=b"", source="pasted")},
        )


def test_an_errorexit_of_an_earlier_start_is_no_matter(directory: RunDirectory) -> None:
    old = directory.working / "errorexit-20200101T000000.txt"
    old.touch()
    os.utime(old, (1, 1))
    check_archivable(directory, VLA, EB, BEFORE)


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ('<weblog name="a.weblog.tgz"/>', "a.weblog.tgz"),
        ('<weblog name="a.tar.gz"/>', "a.tar.gz"),
        ('<weblog name="Undefined"/>', "weblog.tgz"),
        ("", "weblog.tgz"),
        ('<weblog name="a.tgz"/><weblog name="a.tgz"/>', "a.tgz"),
    ],
)
def test_the_weblog_is_called_what_the_manifest_says(directory: RunDirectory, element: str, name: str) -> None:
    call_the_weblog(directory, element)
    assert weblog_name(directory) == name


@pytest.mark.parametrize(
    "element",
    [
        f'<weblog name="{CALTABLES}"/>',
        f'<weblog name="{MANIFEST}"/>',
        '<weblog name="../weblog.tgz"/>',
        '<weblog name="/tmp/weblog.tgz"/>',
        '<weblog name=".weblog.tgz"/>',
        '<weblog name="a.tgz"/><weblog name="b.tgz"/>',
        '<weblog name="weblog.html"/>',
    ],
)
def test_no_other_file_is_overwritten_by_the_weblog(directory: RunDirectory, element: str) -> None:
    call_the_weblog(directory, element)
    with pytest.raises(Refused, match="calls the weblog"):
        weblog_name(directory)


def test_an_id_is_never_used_by_two_ingests() -> None:
    endings = ["calibration.tar", "associated.tar", "weblog.tgz", *(f"image.{place:04d}.fits" for place in (1, 9999))]
    ids = [ngas_id(RUN, number, ending) for number in range(1, 12) for ending in endings]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 64
    assert ngas_id(RUN, 1, "calibration.tar") == f"{RUN}.calibration.tar"
    assert ngas_id(RUN, 2, "weblog.tgz") == f"{RUN}.2.weblog.tgz"


@pytest.mark.parametrize("kind", [families.VLA.kind, families.ALMA.kind])
def test_the_tar_is_in_the_spool_under_its_id(tmp_path: Path, kind: str) -> None:
    areas = Areas(*(tmp_path / name for name in ("processing", "qa", "spool")))
    tar = spooled_tar(areas, RUN, 2, family_of(kind).contents)
    assert tar == tmp_path / "spool" / RUN / f"{RUN}.2.{family_of(kind).contents.tar}.tar"


def test_the_flag_template_is_compared_byte_for_byte(directory: RunDirectory) -> None:
    assert used_by_casa(directory, VLA, EB, FLAGS.encode())
    assert not used_by_casa(directory, VLA, EB, FLAGS.encode() + b"\n")
    (member,) = templates_read(directory, VLA, EB)
    member.source.unlink()
    assert templates_read(directory, VLA, EB) == []
    assert not used_by_casa(directory, VLA, EB, FLAGS.encode())


def recorded(size: int, crc32: int) -> FileOfIngest:
    return FileOfIngest(
        ngas_file_id="a", kind="weblog", name="a", mime_type="application/x-gzip", size_bytes=size, crc32=crc32
    )


def test_a_file_is_the_recorded_one_by_size_and_checksum(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert not is_recorded_file(tmp_path, file, recorded(3, 891568578))
    file.write_bytes(b"abc")
    assert is_recorded_file(tmp_path, file, recorded(3, 891568578))
    assert not is_recorded_file(tmp_path, file, recorded(4, 891568578))
    assert not is_recorded_file(tmp_path, file, recorded(3, 1))
    (tmp_path / "link").symlink_to(file)
    assert not is_recorded_file(tmp_path, tmp_path / "link", recorded(3, 891568578))


def test_the_measurement_set_has_its_place_in_the_cache(directory: RunDirectory, tmp_path: Path) -> None:
    found = measurement_set(directory, EB)
    assert found == directory.working / f"{EB}.ms"
    assert cache_place(tmp_path, RUN, EB) == tmp_path / RUN / f"{EB}.ms"
    with pytest.raises(InvalidInput):
        cache_place(tmp_path, RUN, "../x")  # type: ignore[arg-type]
