from __future__ import annotations

import gzip
from pathlib import Path

from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.whole_products import unfinished_products


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
    told = unfinished_products(run)
    assert [sentence.split("'")[1] for sentence in told] == ["cut.tgz", "empty.tgz", "noise.gz", "cut.fits"]
    assert unfinished_products(RunDirectory(tmp_path / "none")) == ()
