"""Packing, upload and proof, beside ``tar`` and ``curl``, which take no checksum and have nothing proved."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.frame import Case, Figure, Options, Sides, settle
from bench.servers import filled, ngas_server, some_file_id
from srdp.domain.archiving.upload import FileToArchive, archive
from srdp.domain.files.packing import pack, tree
from srdp.domain.ngas.client import NgasClient

_FILES, _BYTES, _BYTES_QUICK = 200, 5_000_000, 100_000
_MIME_TYPE = "application/octet-stream"


@contextmanager
def _packed(options: Options) -> Iterator[Sides]:
    products, spool = options.place / "products", options.place / "spool"
    products.mkdir()
    spool.mkdir()
    for number in range(_FILES):
        filled(products / f"product-{number}", _BYTES_QUICK if options.quick else _BYTES)
    with ngas_server(options.place, options.ngas) as server:
        client = NgasClient(server)

        def before() -> None:
            # What the sandbox's server holds, and what was packed: the disk must have room for one round.
            for left in (*(options.place / "ngas").glob("*/afiles"), *spool.iterdir()):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            settle()

        def ours() -> None:
            packed = pack(tree(products, products), spool, spool / "run.tar")
            file = FileToArchive(packed.path, some_file_id(), packed.size_bytes, packed.crc32, _MIME_TYPE)
            archive(client, file)

        def rival() -> None:
            tar, file_id = spool / "run.tar", some_file_id()
            subprocess.run(["tar", "-C", str(products), "-cf", str(tar), "."], check=True)  # noqa: S607
            url = f"http://{server}/ARCHIVE?filename={file_id}&file_id={file_id}&mime_type={_MIME_TYPE}"
            command = ["curl", "--silent", "--show-error", "--fail", "--output", str(spool / "reply"), url]
            # Without the question whether the server wants it, for which curl waits a second.
            headers = ["--header", "Expect:", "--header", f"Content-Type: {_MIME_TYPE}"]
            subprocess.run([*command, *headers, "--data-binary", f"@{tar}"], check=True)

        yield Sides(ours=ours, rival=rival, before=before)


CASES = (
    Case(
        _packed,
        (
            Figure(
                "pack-and-upload",
                "packing, upload and proof, 1 GB in 200 files",
                "`tar`, then `curl --data-binary`, no checksum and no proof",
                goal=1.05,
            ),
        ),
    ),
)
