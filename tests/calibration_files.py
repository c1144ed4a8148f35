"""A calibration's tar of tables and its apply list, in the shape that the observatory's pipeline gives them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence


def table_names(execution_block: str) -> list[str]:
    """Return the names of the tables of a calibration."""
    stages = ("hifv_priorcals.s4_2.gceff", "hifv_finalcals.s11_4.finalBPcal")
    return [f"{execution_block}.ms.{stage}.tbl" for stage in stages]


def packed_tables(names: Sequence[str]) -> bytes:
    """Return a tar of tables, each a directory with a file in it; the same bytes each time."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            content = f"solutions of {name}".encode()
            member = tarfile.TarInfo(f"{name}/table.dat")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def apply_call(vis: str, names: Sequence[str]) -> dict[str, object]:
    """Return the arguments of a call of an apply list: all that the real pipeline's restore asks for."""
    each = len(names)
    return {
        "vis": vis, "field": "0", "intent": "TARGET", "spw": "0", "antenna": "0~26", "gaintable": list(names),
        "gainfield": [""] * each, "spwmap": [[] for _ in names], "interp": [""] * each, "calwt": [False] * each,
    }  # fmt: skip


def apply_list(execution_block: str, names: Sequence[str]) -> str:
    """Return the apply list of a measurement set."""
    call = apply_call(f"{execution_block}.ms", names)
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.items())
    return f"# Apply file for {execution_block}.ms\napplycal({arguments})\n"
