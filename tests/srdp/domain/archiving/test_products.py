from __future__ import annotations

import gzip
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.calibration_files import apply_list, packed_tables, table_names
from tests.killing import killed_at_each_file_operation
from tests.real_run import REAL_EB, REAL_RUN

from srdp.domain.archiving.products import (
    DEFAULT_ASSOCIATED_TAR_NAME,
    DEFAULT_TAR_NAME,
    check_tar_name_template,
    is_fits,
    ngas_id,
    restore_gaps,
    tar_members,
    tar_name,
)
from srdp.domain.common.errors import InvalidInput, Refused, SettingsError
from srdp.domain.files import unpacking
from srdp.domain.files.packing import Member, pack
from srdp.domain.runs.identifiers import execution_block_name, new_pipeline_run_id, pipeline_run_id
from srdp.domain.runs.pipeline_run import RunDirectory

RUN = pipeline_run_id("vla-20261122-182453-4f7k")
EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
WHEN = datetime(2026, 11, 22, 19, 24, 53, 7_999, timezone(timedelta(hours=1)))
NAMED = {"subject": EB, "project": "13A-537", "run_id": RUN, "when": WHEN}

MANIFEST = "unknown.hifv.pipeline_manifest.xml"
CALTABLES, FLAGS, APPLY = "unknown.session_1.caltables.tgz", f"{EB}.ms.flagversions.tgz", f"{EB}.ms.calapply.txt"
ARCHIVED = {
    MANIFEST,
    CALTABLES,
    FLAGS,
    APPLY,
    "casa_commands.log",
    "casa_piperestorescript.py",
    "casa_pipescript.py",
    "pipeline_aquareport.xml",
    "unknown.hifv.auxproducts.tgz",
    "unknown.hifv.pprequest.xml",
    "weblog.tgz",
}
FITS = {"unknown.J1445_ph.spw0.cont.I.pbcor.fits", "unknown.J1445_ph.spw0.cont.I.mask.FITS", "x.fits.gz"}


def manifest(caltables: str = CALTABLES, flags: str = FLAGS, apply_list: str = APPLY) -> str:
    return (
        f'<piperesults><ous name="unknown"><session name="session_1"><caltables name="{caltables}"/>'
        f'<asdm name="{EB}.ms"><finalflags name="{flags}"/><applycmds name="{apply_list}"/></asdm></session>'
        '<weblog name="weblog.tgz"/></ous></piperesults>'
    )


def make_run(area: Path) -> RunDirectory:
    run = RunDirectory(area / RUN)
    run.working.mkdir(parents=True)
    run.products.mkdir()
    for name in ARCHIVED | FITS:
        (run.products / name).write_text(f"content of {name}")
    (run.products / MANIFEST).write_text(manifest())
    (run.products / CALTABLES).write_bytes(packed_tables(table_names(EB)))
    (run.products / APPLY).write_text(apply_list(EB, table_names(EB)))
    (run.working / f"{EB}.flagtemplate.txt").write_text("mode='manual' antenna='ea12'\n")
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path)


def names(run: RunDirectory, *added: Member) -> set[str]:
    return {member.name for member in tar_members(run, added)}


# --- names -----------------------------------------------------------------------------------------------------------


@given(st.sampled_from(["vla", "alma"]), st.datetimes(datetime(1980, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_ngas_ids_are_the_runs_own_and_short(family: str, when: datetime) -> None:
    one, other = new_pipeline_run_id(family, when), new_pipeline_run_id(family, when + timedelta(seconds=1))
    ids = {ngas_id(run, 1, ending) for ending in ("calibration.tar", "weblog.tgz") for run in (one, other)}
    assert len(ids) == 4
    assert all(len(name) <= 64 for name in ids)
    assert ngas_id(one, 1, "calibration.tar") == f"{one}.calibration.tar"
    assert ngas_id(one, 12, "weblog.tgz") == f"{one}.12.weblog.tgz"


@pytest.mark.parametrize("ending", ["x" * 40, "a/b", "a b", "ä"])
def test_an_id_that_ngas_cannot_keep_is_refused(ending: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be an id in NGAS"):
        ngas_id(RUN, 1, ending)


def test_the_tar_is_called_as_the_archive_calls_it() -> None:
    name = tar_name(DEFAULT_TAR_NAME, **NAMED)
    assert name == "13A-537_2026_11_22_T18_24_53.007.tar"
    name = tar_name("{pipeline_run_id}+{execution_block}.tar", **NAMED)
    assert name == f"{RUN}+{EB}.tar"
    name = tar_name(DEFAULT_ASSOCIATED_TAR_NAME, **NAMED | {"subject": "uid://A001/X1288/X3f"})
    assert name == "uid___A001_X1288_X3f_2026_11_22_T18_24_53.007.associated.tar"


@pytest.mark.parametrize(
    "template",
    [
        *(
            "{project",
            "{}",
            "{0}_{date}",
            "{date.__class__}_{time}",
            "{date:>99999999}",
            "{date:_<90}",
            "{date!r}",
            "{when}_{date}",
        ),
        *("calibration.tar", "{project}.tar", "../{date}", ".{date}", "-{date}", "{date} {time}", "{date}\n", ""),
        "x" * 300 + "{date}",
    ],
)
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|may|must) "):
        check_tar_name_template(template)
    with pytest.raises(SettingsError, match=r"for the name of a tar (is|may|must)") as reported:
        tar_name(template, **NAMED)
    assert str(reported.value).isprintable()


# --- contents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a.fits", True),
        ("d/a.FIT", True),
        ("a.fits.gz", True),
        ("a.fits.txt", False),
        ("fits", False),
        ("a.fits/b", False),
    ],
)
def test_knows_fits_by_name(name: str, *, fits: bool) -> None:
    assert is_fits(name) is fits


def test_everything_but_fits_is_archived(run: RunDirectory) -> None:
    assert names(run) == ARCHIVED


def test_what_the_analyst_added_is_archived(run: RunDirectory) -> None:
    (run.products / "analyst" / "deep").mkdir(parents=True)
    (run.products / "analyst" / "deep" / "plot.png").touch()
    (run.products / "analyst" / "only.fits").touch()
    (run.products / ".notes").touch()
    (run.products / "empty").mkdir()
    (run.products / "images").mkdir()
    (run.products / "images" / "a.fits").touch()
    added = {".notes", "analyst", "analyst/deep", "analyst/deep/plot.png"}
    assert names(run) == ARCHIVED | added


@pytest.mark.parametrize("place", ["pipeline-20261122T182500/html", "html", "weblog/deep", "pipeline-20261122T182500"])
def test_the_unpacked_weblog_is_not_archived(run: RunDirectory, place: str) -> None:
    html = run.products / place
    (html / "stage1").mkdir(parents=True)
    (html / "t1-1.html").touch()
    (html / "stage1" / "x.html").touch()
    (html / "index.html").symlink_to("t1-1.html")
    assert names(run) == ARCHIVED


def test_a_front_page_among_the_products_does_not_hide_them(run: RunDirectory) -> None:
    (run.products / "t1-1.html").touch()
    assert names(run) == {*ARCHIVED, "t1-1.html"}


def test_the_flag_template_is_added_once(run: RunDirectory) -> None:
    template = run.working / f"{EB}.flagtemplate.txt"
    member = Member(template.name, template, template.parent)
    assert names(run, member) == {*ARCHIVED, template.name}
    copy = run.products / template.name
    copy.write_bytes(template.read_bytes())
    assert names(run, member) == {*ARCHIVED, template.name}
    copy.write_text("another")
    with pytest.raises(Refused, match="differ, and both would be"):
        tar_members(run, [member])


def test_no_products_are_reported(run: RunDirectory) -> None:
    shutil.rmtree(run.products)
    with pytest.raises(Refused, match="there is nothing to archive"):
        tar_members(run)


def test_a_link_out_of_the_products_is_not_archived(run: RunDirectory, tmp_path: Path) -> None:
    (run.products / "working").symlink_to("../working")
    with pytest.raises(Refused, match="is a symbolic link to"):
        pack(tar_members(run), tmp_path, tmp_path / "x.tar")


# --- the restore -----------------------------------------------------------------------------------------------------


def test_a_complete_run_can_be_restored(run: RunDirectory) -> None:
    assert restore_gaps(run) == ()


@pytest.mark.parametrize("harm", ["missing", "empty", "link", "directory"])
@pytest.mark.parametrize("name", [CALTABLES, FLAGS, APPLY])
def test_each_file_that_a_restore_needs_is_looked_at(run: RunDirectory, name: str, harm: str) -> None:
    path = run.products / name
    path.rename(run.products / "other")
    if harm == "empty":
        path.touch()
    elif harm == "link":
        path.symlink_to("other")
    elif harm == "directory":
        path.mkdir()
        (path / "x").touch()
    (gap,) = restore_gaps(run)
    assert f"products/ lacks '{name}'" in gap
    assert "could not be restored." in gap


@pytest.mark.parametrize("kind", ["caltables", "flags", "apply_list"])
@pytest.mark.parametrize("name", ["Undefined", "", None])
def test_each_kind_is_named_in_the_manifest(run: RunDirectory, kind: str, name: str | None) -> None:
    text = manifest(**{kind: "GONE"}).replace('name="GONE"', "" if name is None else f'name="{name}"')
    (run.products / MANIFEST).write_text(text)
    (gap,) = restore_gaps(run)
    assert gap.startswith("The manifest names no ")


@pytest.mark.parametrize("name", ["../working/PPR.xml", "/etc/hostname", "./" + CALTABLES, "x.fits"])
def test_what_would_not_be_archived_does_not_count(run: RunDirectory, name: str) -> None:
    (run.products / "x.fits").write_text("x")
    (run.working / "PPR.xml").write_text("x")
    (run.products / MANIFEST).write_text(manifest(caltables=name))
    gap = restore_gaps(run)[0]
    assert "the calibration tables that the manifest names" in gap


def test_all_gaps_are_reported_at_once(run: RunDirectory) -> None:
    (run.products / MANIFEST).write_text(manifest(caltables="Undefined"))
    (run.products / FLAGS).unlink()
    (run.products / APPLY).unlink()
    assert len(restore_gaps(run)) == 3


FIRST, LAST = table_names(EB)
HOSTILE_NAME = "../../'x\\n.tbl"


@pytest.mark.parametrize(
    ("caltables", "applied", "gaps"),
    [
        (packed_tables([LAST, FIRST, "more.tbl"]), apply_list(EB, [FIRST, LAST]), []),
        (packed_tables([FIRST]), apply_list(EB, [FIRST, LAST]), [f"does not hold the table '{LAST}', which '{APPLY}'"]),
        (packed_tables([f"old/{FIRST}"]), apply_list(EB, [FIRST]), [f"does not hold the table '{FIRST}'"]),
        (
            packed_tables([]), apply_list(EB, [str(number) for number in range(9)]),
            ["table '0'", "table '1'", "table '2'", "And 6 more tables"],
        ),
        (packed_tables([FIRST]), apply_list(EB, [HOSTILE_NAME]), ["does not hold the table"]),
        (packed_tables([FIRST])[:60], apply_list(EB, [FIRST]), [f"'{CALTABLES}' in products/ cannot be read"]),
        (b"no tar", apply_list(EB, [FIRST]), ["cannot be read as a tar"]),
        (packed_tables([FIRST]), f"# Apply file for {EB}.ms\n", ["applies no calibration table"]),
        (packed_tables([FIRST]), "x = 1\n", ["Line 1 of"]),
        (packed_tables([FIRST]), "# a\n\napplycal(vis='x', gaintable=[__import__('os')])\n", ["Line 3 of"]),
        (packed_tables([FIRST]), "applycal(vis='x')\n", ["applies no calibration table"]),
        (packed_tables([FIRST]), "applycal(" + "[" * 5000 + "\n", ["Line 1 of"]),
    ],
)  # fmt: skip
def test_the_tables_that_the_apply_list_names_are_inside_the_tar(
    run: RunDirectory, caltables: bytes, applied: str, gaps: list[str]
) -> None:
    (run.products / CALTABLES).write_bytes(caltables)
    (run.products / APPLY).write_text(applied)
    found = restore_gaps(run)
    assert len(found) == len(gaps)
    assert [gap for words, gap in zip(gaps, found, strict=True) if words not in gap] == []
    assert all(gap.isprintable() for gap in found)


def _a_huge_extended_header(place: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 100 << 20
    with gzip.open(place, "wb", compresslevel=1) as stream:
        stream.write(header.tobuf())
        for _ in range(101):
            stream.write(bytes(1 << 20))


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        (CALTABLES, _a_huge_extended_header, "takes more memory than a tar of tables may"),
        (APPLY, lambda place: place.write_bytes(b"applycal(gaintable=[" + b"1," * 200_000 + b"])"), "Line 1 of"),
        (APPLY, lambda place: os.truncate(place, 40 << 30), "is larger than an apply list may be"),
    ],
)
def test_what_would_fill_the_memory_is_reported(
    run: RunDirectory, name: str, made: Callable[[Path], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run.products / name)
    monkeypatch.setattr(unpacking, "MOST_MEMORY", 30 << 20)
    (gap,) = restore_gaps(run)
    assert said in gap


@pytest.mark.parametrize("name", [MANIFEST, CALTABLES, APPLY, FLAGS])
def test_a_pipe_among_the_products_is_reported_at_once(run: RunDirectory, name: str) -> None:
    (run.products / name).unlink()
    os.mkfifo(run.products / name)
    assert len(restore_gaps(run)) == 1


def test_the_real_apply_list_and_manifests_are_read(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / RUN)
    shutil.copytree(REAL_RUN / "vla", run.products)
    real_list = f"{REAL_EB}.ms.calapply.txt"
    (run.products / f"{REAL_EB}.ms.flagversions.tgz").write_bytes(b"flags")
    tables = re.findall(r"'([^']+\.tbl)'", (run.products / real_list).read_text())
    assert len(tables) == 5
    (run.products / CALTABLES).write_bytes(packed_tables(tables))
    assert restore_gaps(run) == ()
    (run.products / CALTABLES).write_bytes(packed_tables(tables[:-1]))
    (gap,) = restore_gaps(run)
    assert "averagephasegain.tbl" in gap
    shutil.copy(REAL_RUN / "vla_undefined" / MANIFEST, run.products)
    assert len(restore_gaps(run)) == 2, "calibration tables and apply list are Undefined"


def test_what_the_pipeline_did_not_make_is_a_gap_whatever_it_is(run: RunDirectory) -> None:
    text = manifest().replace('"weblog.tgz"', '"Undefined"')
    (run.products / MANIFEST).write_text(text)
    assert restore_gaps(run) == ("The manifest calls its 'weblog' Undefined: the pipeline did not make it.",)


def test_exactly_one_manifest_is_needed(run: RunDirectory) -> None:
    (run.products / "other.pipeline_manifest.xml").write_text(manifest())
    assert "holds 2 manifests" in restore_gaps(run)[0]
    (run.products / "other.pipeline_manifest.xml").unlink()
    (run.products / MANIFEST).unlink()
    assert "holds 0 manifests" in restore_gaps(run)[0]


@pytest.mark.parametrize("content", ["", "<piperesults>", "<other/>", "<!DOCTYPE x []><piperesults/>"])
def test_a_manifest_that_is_none_is_reported(run: RunDirectory, content: str) -> None:
    (run.products / MANIFEST).write_text(content)
    (gap,) = restore_gaps(run)
    assert MANIFEST in gap


# --- the tar ---------------------------------------------------------------------------------------------------------


def test_killed_anywhere_the_calibration_tar_is_whole_or_absent(tmp_path: Path) -> None:
    run, spool = make_run(tmp_path), tmp_path / "spool"
    target = spool / ngas_id(RUN, 1, "calibration.tar")

    def act() -> tuple[int, int]:
        template = run.working / f"{EB}.flagtemplate.txt"
        packed = pack(tar_members(run, [Member(template.name, template, template.parent)]), target.parent, target)
        return packed.size_bytes, packed.crc32

    def prepare() -> None:
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir()

    prepare()
    reference, content = act(), target.read_bytes()
    kills = 0
    for kills in killed_at_each_file_operation(prepare, act):  # noqa: B007
        assert not target.exists() or target.read_bytes() == content
        assert act() == reference
        assert list(spool.iterdir()) == [target]
    assert kills >= 15
    with tarfile.open(target) as tar:
        assert set(tar.getnames()) == {*ARCHIVED, f"{EB}.flagtemplate.txt"}
