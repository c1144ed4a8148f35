"""The fetch with verification and record, beside ``curl --parallel`` with as many connections, then ``sync``.

curl verifies nothing and shows half a file under its final name. Both read the same files of the same server, whose
bytes are in its machine's memory, and write to the same empty directory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.frame import Case, Figure, Options, Sides, settle
from bench.servers import filled, ledger_settings, ngas_server, some_file_id
from srdp.domain.archiving.upload import FileToArchive, archive
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.locator_report import LocatorReport, parse_locator_report
from srdp.domain.raw_data.fetch import Fetch
from srdp.hooks.ledger import Ledger

_MIME_TYPE = "application/octet-stream"
_EB = "13A-537.sb24066356.eb24324502.56514.05971091435"


@contextmanager
def _fetches(options: Options, *, files: int, megabytes: int) -> Iterator[Sides]:
    size = megabytes * 1_000_000 // (20 if options.quick else 1)
    with ExitStack() as opened:
        server = opened.enter_context(ngas_server(options.place, options.ngas))
        settings = opened.enter_context(ledger_settings(options.place))
        report = _stored(options.place, server, files, size)
        client, ledger = NgasClient(server), Ledger(settings)
        run = ledger.runs.open(
            kind="vla_calibration", subject=_EB, project="13A-537", locator="uid://evla/execblock/1",
            dag_id="bench", dag_run_id="bench", requested_by="bench", recipe="hifv_calimage", cores=1, memory_gb=1,
        )  # fmt: skip
        streams = settings.fetch_streams_per_server
        target = options.place / "rawdata"
        list_of_urls = options.place / "urls"
        _write_urls(list_of_urls, report, target)

        def before() -> None:
            shutil.rmtree(target, ignore_errors=True)
            settle()

        def ours() -> None:
            fetch = Fetch(
                report, target, clients={server: client}, streams_per_server=streams, spare_bytes=0,
                on_progress=lambda _: None,
            )  # fmt: skip
            ledger.fetched_files.record(run.pipeline_run_id, fetch.run())

        def rival() -> None:
            command = ["curl", "--no-progress-meter", "--fail", "--create-dirs", "--config", str(list_of_urls)]
            command += ["--parallel", "--parallel-immediate", "--parallel-max", str(streams)]
            subprocess.run(command, check=True)
            subprocess.run(["sync"], check=True)  # noqa: S607

        yield Sides(ours=ours, rival=rival, before=before)


def _stored(place: Path, server: str, files: int, size: int) -> LocatorReport:
    """Put files into the server and return what the archive would say of them."""
    described: list[dict[str, Any]] = []
    path = place / "sent"
    for number in range(files):
        file_id, crc32 = some_file_id(), filled(path, size)
        archive(NgasClient(server), FileToArchive(path, file_id, size, crc32, _MIME_TYPE))
        described.append(
            {
                "ngas_file_id": file_id,
                "subdirectory": _EB,
                "relative_path": f"ASDMBinary/{number}",
                "version": 1,
                "size": size,
                "checksum": str(crc32),
                "checksum_type": "ngamsGenCrc32",
                "server": {"server": server},
            }
        )
    path.unlink()
    document = {"files": described, "aggregate_size": files * size}
    return parse_locator_report(json.dumps(document).encode(), "bench")


def _write_urls(path: Path, report: LocatorReport, target: Path) -> None:
    with path.open("w") as urls:
        for file in report.files:
            urls.write(f'url = "http://{file.server}/RETRIEVE?file_id={file.ngas_file_id}"\n')
            urls.write(f'output = "{target / file.destination}"\n')


_RIVAL = "`curl --parallel` with as many connections, no checksum, then `sync`"
CASES = (
    Case(
        partial(_fetches, files=1, megabytes=2000),
        (Figure("fetch-large", "fetch, verified and recorded, 1 file of 2 GB", _RIVAL, goal=1.1),),
    ),
    Case(
        partial(_fetches, files=200, megabytes=5),
        (Figure("fetch-many", "fetch, verified and recorded, 200 files of 5 MB", _RIVAL, goal=1.1),),
    ),
)
