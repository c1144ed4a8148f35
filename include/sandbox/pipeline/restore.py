"""Restores a calibration from its products, with nothing but CASA: of the release that made them.

The stage ``hifv_restoredata`` uses it, and its text is the first part of ``casa_piperestorescript.py``; so it imports
nothing of this pipeline.
"""

import ast
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import Any
from xml.etree import ElementTree as ET

#: The name under which the pipeline saves the flags at its end.
FLAG_VERSION = "Pipeline_Final"
#: The manifest's name in the directory of the products.
MANIFEST = "*pipeline_manifest.xml"

# What each call of the apply list says, beside the measurement set.
_SELECTED = ("field", "intent", "spw", "antenna")
_FOR_EACH_TABLE = ("gaintable", "gainfield", "spwmap", "interp", "calwt")

#: Calls a task of casatasks: its name and its arguments.
Call = Callable[..., Any]


class RestoreError(Exception):
    """A calibration cannot be restored from what is there; says why in a sentence."""


@dataclass(frozen=True)
class Archived:
    """The products that a restore needs.

    Attributes:
        manifest: the manifest.
        casa_release: the CASA that made them.
        vis: name of the measurement set.
        caltables: tar of the calibration tables.
        flag_versions: tar of the flag versions.
        apply_list: the calls of ``applycal``.
        session: the session in which the request has the measurement set; empty if it does not say.
    """

    manifest: Path
    casa_release: str
    vis: str
    caltables: Path
    flag_versions: Path
    apply_list: Path
    session: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.manifest, self.caltables, self.flag_versions, self.apply_list


def find_products(directory: Path, vis: str = "", session: str = "") -> Archived:
    """Return what a restore needs of the products in a directory.

    Args:
        directory: where the manifest is, and what it names.
        vis: the measurement set, if the manifest may name several; else it is the one that the manifest names first.
        session: with it, the session in which the request has it. Its tables are looked for there and nowhere else,
            whatever the manifest says of the measurement set.

    Raises:
        RestoreError: there is not exactly one manifest, it cannot be read, it does not name measurement set or session,
            or something that it names, or ought to name, is not there.
    """
    manifests = sorted(directory.glob(MANIFEST))
    if len(manifests) != 1:
        raise RestoreError(f"There must be one {MANIFEST} in {directory}, there are {len(manifests)}.")
    (manifest,) = manifests
    try:
        root = ET.parse(manifest).getroot()  # noqa: S314  a file of the archive
    except ET.ParseError as error:
        raise RestoreError(f"The manifest {manifest} cannot be read: {error}.") from None
    asdm = _entry(root, "asdm", vis, "this is another observation's calibration")
    tables = _entry(root, "session", session, f"the calibration has none, and the request has {vis} in it")
    sources = {"caltables": tables, "finalflags": asdm, "applycmds": asdm}
    files = {element: directory / _name(source, element) for element, source in sources.items()}
    for element, path in files.items():
        if not path.is_file():
            raise RestoreError(f"{path} is not there, which the manifest calls its {element}.")
    return Archived(
        manifest,
        _name(root, "casaversion"),
        vis or _name(root, "asdm"),
        files["caltables"],
        files["finalflags"],
        files["applycmds"],
        session,
    )


def restore(
    rawdata: Path, products: Archived, *, casa: Call | None = None, ocorr_mode: str = "co"
) -> tuple[dict[str, Any], ...]:
    """Restores the measurement set into the working directory, which must not hold it yet.

    Flags first, then the calibration: that is the order in which data are flagged that have no solution.

    Args:
        rawdata: where the SDM is.
        products: what it is restored from.
        casa: calls a task; directly if not given.
        ocorr_mode: the correlations to keep, in CASA's words; those that the calibration kept.

    Returns:
        The calls that applied the calibration, as arguments of ``applycal``.

    Raises:
        RestoreError: this is another CASA, the SDM is not there, or the products do not hold what they ought to.
    """
    import casatasks

    vis, sdm = products.vis, rawdata / products.vis.removesuffix(".ms")
    running = casatasks.version_string()
    if running != products.casa_release:
        raise RestoreError(
            f"The calibration was made with CASA {products.casa_release} and this is CASA {running}: restore it with "
            "the release that made it."
        )
    if not sdm.is_dir():
        raise RestoreError(f"The SDM {sdm} is not there: get it from the archive.")
    call = casa or _call
    call("importasdm", asdm=str(sdm), vis=vis, ocorr_mode=ocorr_mode)
    rmtree(f"{vis}.flagversions")  # those of the import; those of the calibration take their place
    _unpack(products.flag_versions, vis)
    _unpack(products.caltables, vis)
    # CASA would complain of a version or a table that is missing, too; but not say which tar ought to hold it.
    _require(f"{vis}.flagversions/flags.{FLAG_VERSION}", products.flag_versions)
    call("flagmanager", vis=vis, mode="restore", versionname=FLAG_VERSION)
    applied = tuple(_apply_list(products))
    for arguments in applied:
        for table in arguments["gaintable"]:
            _require(table, products.caltables, products.session)
        call("applycal", **arguments, applymode="calflag", flagbackup=False)
    return applied


def _call(task: str, **arguments: object) -> Any:  # noqa: ANN401  CASA's tasks have no types
    import casatasks

    return getattr(casatasks, task)(**arguments)


def _name(manifest: ET.Element, element: str) -> str:
    found = manifest.find(f".//{element}")
    name = "Undefined" if found is None else found.get("name", "Undefined")
    if name == "Undefined":
        raise RestoreError(f"The manifest says that there is no {element}: this calibration cannot be restored.")
    if name != PurePosixPath(name).name:
        raise RestoreError(f"The manifest names {name!r} as its {element}, which is not the name of a file.")
    return name


def _entry(manifest: ET.Element, element: str, name: str, otherwise: str) -> ET.Element:
    """Return the manifest's element of that name; the whole manifest if no name is given."""
    if not name:
        return manifest
    for entry in manifest.iter(element):
        if entry.get("name") == name:
            return entry
    raise RestoreError(f"The manifest does not name {name}: {otherwise}.")


def _unpack(archive: Path, vis: str) -> None:
    """Unpacks what is of a measurement set; what the tar holds of others is theirs to unpack."""
    with tarfile.open(archive) as tar:
        # Python before 3.11.4, as Debian 12 has it, knows no filter.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        for member in tar:
            place = PurePosixPath(member.name)
            if not (member.isfile() or member.isdir()) or place.is_absolute() or ".." in place.parts:
                raise RestoreError(f"{archive} holds {member.name!r}, which is no part of a table.")
            if member.name.startswith(vis):
                tar.extract(member)


def _require(table: str, archive: Path, session: str = "") -> None:
    if not Path(table).is_dir():
        hint = f" with the tables of {session}, in which the request has the data" if session else ""
        raise RestoreError(f"{archive} holds no {table}: this calibration cannot be restored{hint}.")


def _apply_list(products: Archived) -> list[dict[str, Any]]:
    lines = products.apply_list.read_text(encoding="utf-8").splitlines()
    calls = [_arguments(line) for line in lines if line.strip() and not line.startswith("#")]
    if not calls:
        raise RestoreError(f"{products.apply_list} is empty: this calibration cannot be restored.")
    for call in calls:
        if call.get("vis") != products.vis or not call.get("gaintable"):
            raise RestoreError(f"{products.apply_list} holds a call that applies no table to {products.vis}.")
        missing = [name for name in (*_SELECTED, *_FOR_EACH_TABLE) if name not in call]
        if missing:
            raise RestoreError(f"{products.apply_list} holds a call without {missing[0]!r}, which a restore needs.")
    # The field selects what the intent says in the pipeline's own words, which CASA does not know.
    return [{name: call[name] for name in ("vis", *_SELECTED, *_FOR_EACH_TABLE) if name != "intent"} for call in calls]


def _arguments(call: str) -> dict[str, Any]:
    """Return the arguments of a line ``applycal(name=value, ...)``, which is read and not executed."""
    try:
        parsed = ast.parse(call, mode="eval").body
        if not isinstance(parsed, ast.Call) or not isinstance(parsed.func, ast.Name) or parsed.func.id != "applycal":
            raise RestoreError(f"The apply list holds a line that is no call of applycal: {call[:100]!r}.")
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in parsed.keywords if keyword.arg}
    except (SyntaxError, ValueError) as error:
        raise RestoreError(f"The apply list holds a line that cannot be read ({error}): {call[:100]!r}.") from None
