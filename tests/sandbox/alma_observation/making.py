"""A directory that is enough of a MOUS to be observed, made without CASA."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.observing import EXEC_BLOCK, make_sdm

MOUS, ASDM = "uid___A001_X1288_X3f", "uid___A002_Xd5a7c2_X1f3"

_MANIFEST = f"""<?xml version="1.0"?>
<piperesults><ous name="{MOUS}"><casaversion name="6.7.0.31"/><pipeline_version name="sandbox-1.0"/>
<session name="session_1"><caltables name="{MOUS}.session_1.caltables.tgz"/><asdm name="{ASDM}.ms">
<finalflags name="{ASDM}.ms.flagversions.tgz"/><applycmds name="{ASDM}.ms.calapply.txt"/></asdm></session></ous>
</piperesults>
"""


def make_mous(folder: Path) -> Path:
    """Makes what `make_mous.py` makes, in small."""
    make_sdm(folder / ASDM)
    (folder / ASDM / "ExecBlock.xml").write_text(EXEC_BLOCK.replace("VLA", "ALMA"))
    (folder / f"{MOUS}.hifa_calimage.pipeline_manifest.xml").write_text(_MANIFEST)
    (folder / f"{ASDM}.ms.calapply.txt").write_text(f"applycal(vis='{ASDM}.ms')\n")
    tables = {f"{ASDM}.ms.bcal.tbl/table.dat": f"of {ASDM}.ms", f"{ASDM}.ms.lock": ""}
    _pack(folder / f"{MOUS}.session_1.caltables.tgz", tables)
    _pack(folder / f"{ASDM}.ms.flagversions.tgz", {f"{ASDM}.ms.flagversions/FLAG_VERSION_LIST": "Pipeline_Final : end"})
    return folder


def _pack(path: Path, members: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            folder = tarfile.TarInfo(name.partition("/")[0])
            folder.type = tarfile.DIRTYPE
            if "/" in name:
                tar.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
