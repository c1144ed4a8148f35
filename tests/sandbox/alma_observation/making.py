"""A directory that is enough of a MOUS to be observed, made without CASA."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from tests.observing import EXEC_BLOCK, make_sdm

MOUS, ASDMS = "uid___A001_X1288_X3f", ("uid___A002_Xd5a7c2_X1f3", "uid___A002_Xd5a9e4_X2b7")
ASDM = ASDMS[0]

_MANIFEST = """<?xml version="1.0"?>
<piperesults><ous name="{mous}"><casaversion name="6.7.0.31"/><pipeline_version name="sandbox-1.0"/>
{sessions}</ous>
</piperesults>
"""
_SESSION = """<session name="session_{number}"><caltables name="{mous}.session_{number}.caltables.tgz"/>
<asdm name="{asdm}.ms"><finalflags name="{asdm}.ms.flagversions.tgz"/><applycmds name="{asdm}.ms.calapply.txt"/></asdm>
</session>"""


def make_mous(folder: Path, *, sessions: int = 1) -> Path:
    """Make what `make_mous.py` makes, in small; an ASDM for each session."""
    named = ""
    for number, asdm in enumerate(ASDMS[:sessions], start=1):
        _make_session(folder, asdm, number)
        named += _SESSION.format(mous=MOUS, number=number, asdm=asdm)
    manifest = _MANIFEST.format(mous=MOUS, sessions=named)
    (folder / f"{MOUS}.hifa_calimage.pipeline_manifest.xml").write_text(manifest)
    return folder


def _make_session(folder: Path, asdm: str, number: int) -> None:
    make_sdm(folder / asdm)
    (folder / asdm / "ExecBlock.xml").write_text(EXEC_BLOCK.replace("EVLA", "ALMA"))
    (folder / f"{asdm}.ms.calapply.txt").write_text(f"applycal(vis='{asdm}.ms')\n")
    tables = {f"{asdm}.ms.bcal.tbl/table.dat": f"of {asdm}.ms", f"{asdm}.ms.lock": ""}
    _pack(folder / f"{MOUS}.session_{number}.caltables.tgz", tables)
    _pack(folder / f"{asdm}.ms.flagversions.tgz", {f"{asdm}.ms.flagversions/FLAG_VERSION_LIST": "Pipeline_Final : end"})


def _pack(path: Path, members: dict[str, str]) -> None:
    # Without the time of day, so that the same MOUS has the same bytes whenever it is made.
    with gzip.GzipFile(path, "w", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in members.items():
            folder = tarfile.TarInfo(name.partition("/")[0])
            folder.type = tarfile.DIRTYPE
            if "/" in name:
                tar.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
