"""Restores a calibration from its products: ``casa --nogui -c casa_piperestorescript.py``.

Started in an empty working directory, with the SDM in ../rawdata, and manifest, calibration tables, flag versions and
apply list beside it or in ../products. It needs nothing but CASA, and the release that made the products.
"""

import ast
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

#: The name under which the pipeline saves the flags at its end.
FLAG_VERSION = "Pipeline_Final"


def restore(rawdata: Path, products: Path) -> str:
    """Restores the measurement set into the working directory.

    Args:
        rawdata: where the SDM lies.
        products: where manifest, calibration tables, flag versions and apply list lie.

    Returns:
        The name of the measurement set.

    Raises:
        FileNotFoundError: there is no manifest, or it says that something that is needed was not made.
    """
    import casatasks

    manifests = sorted(products.glob("*pipeline_manifest.xml"))
    if len(manifests) != 1:
        raise FileNotFoundError(f"there must be one *pipeline_manifest.xml in {products}, there are {len(manifests)}")
    manifest = ET.parse(manifests[0]).getroot()  # noqa: S314  a file of the archive
    caltables, flags, apply_list = (
        products / _name(manifest, kind) for kind in ("caltables", "finalflags", "applycmds")
    )
    vis = _name(manifest, "asdm")
    casatasks.importasdm(asdm=str(rawdata / vis.removesuffix(".ms")), vis=vis, ocorr_mode="co")
    for archive in (flags, caltables):
        with tarfile.open(archive) as tar:
            # Python before 3.11.4, as Debian 12 has it, knows no filter.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            tar.extractall()  # noqa: S202  filtered where Python can; the tar is the run's own
    casatasks.flagmanager(vis=vis, mode="restore", versionname=FLAG_VERSION)
    for call in apply_list.read_text(encoding="utf-8").splitlines():
        casatasks.applycal(**_arguments(call))
    return vis


def _name(manifest: ET.Element, element: str) -> str:
    found = manifest.find(f".//{element}")
    name = "Undefined" if found is None else found.get("name", "Undefined")
    if name == "Undefined":
        raise FileNotFoundError(f"the manifest says that there is no {element}: this calibration cannot be restored")
    return name


def _arguments(call: str) -> dict[str, object]:
    """Returns the arguments of a line ``applycal(name=value, ...)``, which is read and not executed."""
    parsed = ast.parse(call, mode="eval").body
    if not isinstance(parsed, ast.Call):
        raise TypeError(f"not a call: {call}")
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in parsed.keywords if keyword.arg}


if __name__ == "__main__":
    raw = Path("../rawdata")
    try:
        print(restore(raw, raw if list(raw.glob("*pipeline_manifest.xml")) else Path("../products")))
    except FileNotFoundError as missing:
        sys.exit(str(missing))
