from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from srdp.domain.casa.whole_products import unfinished_products
from srdp.domain.files import unpacking
from srdp.domain.runs.pipeline_run import RunDirectory


def test_what_was_not_written_to_its_end_is_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "vla-20261122-182453-4f7k")
    run.products.mkdir(parents=True)
    whole = gzip.compress(b"weblog" * 50_000, compresslevel=1)
    files = {
        "weblog.tgz": whole, "cut.tgz": whole[:-5], "empty.tgz": b"", "noise.gz": b"no gzip",
        "image.fits": bytes(2880 * 3), "cut.fits": bytes(2880 * 2 + 7), "casa_commands.log": b"x",
    }  # fmt: skip
    for name, content in files.items():
        (run.products / name).write_bytes(content)
    reported = unfinished_products(run)
    assert [sentence.split("'")[1] for sentence in reported] == ["cut.tgz", "empty.tgz", "noise.gz", "cut.fits"]
    assert unfinished_products(RunDirectory(tmp_path / "none")) == ()


@pytest.mark.parametrize("name", ["weblog.tgz", "image.fits"])
def test_what_is_no_product_is_reported_at_once(tmp_path: Path, name: str) -> None:
    run = RunDirectory(tmp_path / "vla-20261122-182453-4f7k")
    run.products.mkdir(parents=True)
    os.mkfifo(run.products / name)
    (reported,) = unfinished_products(run)
    assert "is a named pipe, which a product may not be" in reported


def test_no_more_is_unpacked_than_a_product_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path / "vla-20261122-182453-4f7k")
    run.products.mkdir(parents=True)
    (run.products / "bomb.tgz").write_bytes(gzip.compress(bytes(50 << 20)))
    assert unfinished_products(run) == ()
    monkeypatch.setattr(unpacking, "MOST_UNPACKED", 49 << 20)
    (reported,) = unfinished_products(run)
    assert "bomb.tgz' unpacks to more than 51380224 bytes" in reported
