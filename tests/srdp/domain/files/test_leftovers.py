"""What editors and file servers leave is never packed, never a changed product, and holds up no removal."""

from __future__ import annotations

from pathlib import Path

import pytest

from srdp.domain.archiving.product_changes import ProductFile, changes_since, describe_products
from srdp.domain.archiving.products import tar_members
from srdp.domain.disk.removal import symlinks_leading_out
from srdp.domain.files.leftovers import is_left_over, left_over_files
from srdp.domain.files.packing import tree
from srdp.domain.files.tree_copy import compare_trees
from srdp.domain.runs.pipeline_run import Areas, RunDirectory

LEFT = (
    ".nfs000000000123abcd00000001",
    ".casa_pipescript.py.swp",
    ".x.swo",
    "flux.csv~",
    "#PPR.xml#",
    ".DS_Store",
    "._a",
)
LOCK = ".#casa_commands.log"
KEPT = ("weblog.tgz", "a.ms.calapply.txt", ".hidden", "nfs1", "swp", "#note", "x~y", "DS_Store", ".nfs_mounts.txt")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "processing" / "vla-20261122-182453-4f7k")
    (run.products / "folder~").mkdir(parents=True)
    for name in (*KEPT, "folder~/in_it.txt"):
        (run.products / name).write_text(name)
    return run


def leave(run: RunDirectory) -> None:
    for name in LEFT:
        (run.products / name).write_text("left")
    (run.products / LOCK).symlink_to("analyst@host.1234:1764300000")


def test_they_are_known_by_their_names() -> None:
    assert [name for name in (*LEFT, LOCK) if not is_left_over(name)] == []
    assert [name for name in KEPT if is_left_over(name)] == []


def test_leftovers_are_ignored_everywhere(run: RunDirectory, tmp_path: Path) -> None:
    before, members = describe_products(run), [member.name for member in tree(run.root, run.products)]
    assert "folder~/in_it.txt" in members, "a directory of such a name was made by somebody"
    leave(run)
    assert [member.name for member in tree(run.root, run.products)] == members
    assert not {*LEFT, LOCK} & {member.name for member in tar_members(run)}
    assert describe_products(run) == before
    assert changes_since(run, before) == ()
    areas = Areas(*(tmp_path / name for name in ("processing", "qa", "spool")))
    assert symlinks_leading_out(run, areas) == ()
    assert sorted(path.name for path in left_over_files(run.root)) == sorted((*LEFT, LOCK))


def test_what_a_former_release_recorded_of_them_is_no_change(run: RunDirectory) -> None:
    recorded = (*describe_products(run), ProductFile(".DS_Store", 4, 7))
    assert changes_since(run, recorded) == ()
    (run.products / "weblog.tgz").write_text("another")
    assert len(changes_since(run, recorded)) == 1


def test_a_file_that_nfs_keeps_open_makes_no_copy_differ(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for name in KEPT:
        (tmp_path / "copy" / name).write_text(name)
    (tmp_path / "copy" / "folder~").mkdir()
    (tmp_path / "copy" / "folder~" / "in_it.txt").write_text("folder~/in_it.txt")
    (run.products / LEFT[0]).write_text("open")
    compare_trees(run.products, tmp_path / "copy")
