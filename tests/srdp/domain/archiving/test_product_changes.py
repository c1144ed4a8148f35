from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path

import pytest

from srdp.domain.archiving import product_changes
from srdp.domain.archiving.product_changes import ProductFile, changes_since, describe_products
from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.runs.pipeline_run import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "vla-20261122-182453-4f7k")
    (run.products / "analyst").mkdir(parents=True)
    (run.products / "weblog.tgz").write_bytes(b"weblog" * 1_000_000)
    (run.products / "image.fits").write_bytes(b"image")
    (run.products / "analyst" / "notes.txt").write_bytes(b"")
    (run.products / "link").symlink_to("image.fits")
    return run


def test_describes_every_file(run: RunDirectory) -> None:
    assert describe_products(run) == (
        ProductFile("analyst/notes.txt", 0, 0),
        ProductFile("image.fits", 5, zlib.crc32(b"image")),
        ProductFile("link", 10, zlib.crc32(b"image.fits")),
        ProductFile("weblog.tgz", 6_000_000, zlib.crc32(b"weblog" * 1_000_000)),
    )


def test_nothing_has_changed_in_another_area(run: RunDirectory, tmp_path: Path) -> None:
    recorded = describe_products(run)
    assert changes_since(run, recorded) == ()
    moved = RunDirectory(tmp_path / "qa" / run.root.name)
    shutil.copytree(run.root, moved.root, symlinks=True)
    for path in moved.products.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert changes_since(moved, recorded) == ()


def test_reports_what_was_changed_put_there_and_removed(run: RunDirectory) -> None:
    recorded = describe_products(run)
    image = run.products / "image.fits"
    before = image.stat()
    image.write_bytes(b"IMAGE")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time are as before
    (run.products / "link").unlink()
    (run.products / "link").symlink_to("weblog.tgz")
    (run.products / "weblog.tgz").unlink()
    (run.products / "analyst" / "plot\n.png").touch()
    assert changes_since(run, recorded) == (
        r"'analyst/plot\n.png' was put into products/ after the ingest.",
        "'image.fits' was changed in products/ after the ingest.",
        "'link' was changed in products/ after the ingest.",
        "'weblog.tgz' was removed from products/ after the ingest.",
    )


def test_a_directory_that_is_gone_is_all_changes(run: RunDirectory) -> None:
    recorded = describe_products(run)
    shutil.rmtree(run.products)
    assert len(changes_since(run, recorded)) == len(recorded)


def test_what_is_no_file_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    os.mkfifo(run.products / "fifo")
    with pytest.raises(Refused, match="is neither a file nor a directory"):
        describe_products(run)
    run.products.rename(tmp_path / "elsewhere")
    run.products.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="is a symbolic link"):
        changes_since(run, ())


def test_file_that_becomes_a_link_is_not_described(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").write_text("password")
    image = run.products / "image.fits"
    tree = product_changes.tree

    def swapped(root: Path, folder: Path):
        found = list(tree(root, folder))
        image.unlink()
        image.symlink_to(tmp_path / "secrets")
        return found

    monkeypatch.setattr(product_changes, "tree", swapped)
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        describe_products(run)
