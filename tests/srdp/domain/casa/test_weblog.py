from __future__ import annotations

import gzip
import os
import shutil
import struct
import tarfile
from pathlib import Path

import pytest
from tests.killing import killed_at_each_file_operation

from srdp.domain.casa.weblog import QA_NOTES, check_overwritten, find_weblog, pack_weblog, write_qa_notes
from srdp.domain.common.errors import InvalidInput, Refused, SrdpError
from srdp.domain.qa.notes import render_html
from srdp.domain.qa.verdict import QaFlag, qa_verdict
from srdp.domain.runs.pipeline_run import RunDirectory

RUN = "vla-20261122-182453-4f7k"
NAME = "pipeline-20261122T182500"
NOTES = render_html(qa_verdict(QaFlag.PASS, comments="<good>"))


def make_run(area: Path) -> RunDirectory:
    """A run with a weblog and its tar, made as the pipeline makes it."""
    run = RunDirectory(area / RUN)
    html = run.working / NAME / "html"
    (html / "stage1").mkdir(parents=True)
    run.products.mkdir()
    (html / "t1-1.html").write_text("front")
    (html / "index.html").symlink_to("t1-1.html")
    (html / "stage1" / "t2-4m_details.html").write_text("details" * 1000)
    log = run.working / "casa-20261122-182453.log"
    log.write_text("log")
    (html / log.name).hardlink_to(log)
    with tarfile.open(run.products / "weblog.tgz", "w:gz") as tar:
        tar.add(html, arcname=f"{NAME}/html")
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path)


def layout(tar: Path) -> list[tuple[str, bytes, str]]:
    with tarfile.open(tar) as opened:
        return [(member.name, member.type, member.linkname) for member in opened]


def test_the_newest_weblog_is_the_one(run: RunDirectory) -> None:
    (run.working / "pipeline-20261121T182500" / "html").mkdir(parents=True)
    (run.working / "pipeline-20261123T182500").mkdir()  # without html: none
    assert find_weblog(run) == run.working / NAME / "html"


def test_a_link_is_no_weblog(run: RunDirectory, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "html").mkdir(parents=True)
    (run.working / "pipeline-20261124T182500").symlink_to(elsewhere)
    (run.working / "pipeline-20261123T182500").mkdir()
    (run.working / "pipeline-20261123T182500" / "html").symlink_to(elsewhere / "html")
    assert find_weblog(run) == run.working / NAME / "html"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda place: place.symlink_to("../../../../secrets"), "is a symbolic link"),
        (os.mkfifo, "is a named pipe"),
        (lambda place: place.touch() or os.truncate(place, 40 << 30), "is larger than an analyst's file may be"),
    ],
)
def test_non_file_instead_of_the_notes_is_reported(run: RunDirectory, made, said: str) -> None:
    made(find_weblog(run) / QA_NOTES)
    with pytest.raises(InvalidInput, match=said):
        check_overwritten(run, {QA_NOTES: [b"notes"]})


def test_a_run_without_weblog_is_reported(run: RunDirectory) -> None:
    shutil.rmtree(run.working / NAME)
    with pytest.raises(Refused, match="holds no weblog"):
        write_qa_notes(run, NOTES)


@pytest.mark.parametrize("part", ["working", f"working/{NAME}", f"working/{NAME}/html"])
def test_notes_are_not_written_through_a_link(run: RunDirectory, tmp_path: Path, part: str) -> None:
    place, elsewhere = run.root / part, tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(SrdpError, match="symbolic link"):
        write_qa_notes(run, NOTES)
    assert sorted(elsewhere.rglob("*")) == before


def test_weblog_tar_has_the_pipelines_layout_and_notes(run: RunDirectory) -> None:
    before = layout(run.products / "weblog.tgz")
    pack_weblog(run)
    assert layout(run.products / "weblog.tgz") == before  # the hard-linked log is a file in both
    assert write_qa_notes(run, NOTES) is True
    assert write_qa_notes(run, NOTES) is False
    pack_weblog(run)
    after = layout(run.products / "weblog.tgz")
    assert {*after} - {*before} == {(f"{NAME}/html/qa_notes.html", tarfile.REGTYPE, "")}
    assert {*before} < {*after}
    with tarfile.open(run.products / "weblog.tgz") as tar:
        content = tar.extractfile(f"{NAME}/html/qa_notes.html")
        assert content is not None
        assert content.read().decode() == NOTES
    assert "qa_comments: &lt;good&gt;" in NOTES


def test_packed_again_it_has_the_same_bytes_and_no_time_in_it(run: RunDirectory) -> None:
    first = pack_weblog(run)
    content = first.path.read_bytes()
    assert pack_weblog(run) == first
    assert first.path.read_bytes() == content
    magic, flags, time = struct.unpack("<2sxBI", content[:8])
    assert (magic, flags, time) == (b"\x1f\x8b", 0, 0)
    assert gzip.decompress(content)


def test_the_tar_has_the_name_that_the_manifest_gives_it(run: RunDirectory) -> None:
    assert pack_weblog(run, name="member.weblog.tgz").path == run.products / "member.weblog.tgz"
    for name in ("../weblog.tgz", "", ".."):
        with pytest.raises(Refused, match="is not the name of a file"):
            pack_weblog(run, name=name)


def test_a_link_out_of_the_weblog_is_not_packed(run: RunDirectory) -> None:
    before = (run.products / "weblog.tgz").read_bytes()
    (find_weblog(run) / "secret.txt").symlink_to("../../casa.log")
    with pytest.raises(Refused, match=r"secret\.txt' is a symbolic link to"):
        pack_weblog(run)
    assert (run.products / "weblog.tgz").read_bytes() == before


def test_killed_anywhere_the_tar_is_the_old_or_the_new(tmp_path: Path) -> None:
    run = make_run(tmp_path / "reference")
    old = (run.products / "weblog.tgz").read_bytes()
    write_qa_notes(run, NOTES)
    reference = pack_weblog(run)
    new = reference.path.read_bytes()
    area = tmp_path / "area"
    run = RunDirectory(area / RUN)

    def prepare() -> None:
        shutil.rmtree(area, ignore_errors=True)
        make_run(area)
        (run.products / "weblog.tgz").write_bytes(old)

    def act() -> tuple[int, int]:
        write_qa_notes(run, NOTES)
        packed = pack_weblog(run)
        return packed.size_bytes, packed.crc32

    kills = 0
    for kills in killed_at_each_file_operation(prepare, act):  # noqa: B007
        assert (run.products / "weblog.tgz").read_bytes() in {old, new}
        notes = find_weblog(run) / "qa_notes.html"
        assert not notes.exists() or notes.read_text() == NOTES
        assert act() == (reference.size_bytes, reference.crc32)
        assert [path.name for path in run.products.iterdir()] == ["weblog.tgz"]
        assert not [path for path in run.working.rglob("*") if path.name.startswith(".")]
    assert kills >= 12
