"""What the contract CASA does with an ALMA PPR: it restores a calibration, makes images of noise, and exports them.

What is kept: where the data are (``rawdata/<AsdmDiskName>``, the calibration's products beside them, all named in its
manifest), that the tables of an ASDM are looked for in the session that the PPR has it in, the files of an analyst
(target flags, read only by ``hifa_flagtargets``, once the targets are split under either name; ``cont.dat``, which
``hif_findcont`` leaves as it is if it is there), that cubes are made of what ``hif_uvcontsub`` split off and so know no
later flags, that ``hif_editimlist`` without ``imaging_mode=ALMA`` stops, the names of images with type of data and
version, and that a failure is copied into ``products/`` too. Each image is a FITS file with a beam; its pixels are
noise that depends on the data, the flags that were read and ``cont.dat``, so that two runs with the same of them have
the same images.
"""

from __future__ import annotations

import hashlib
import random
import struct
import tarfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from casa_contract import Run, tar, tar_of

_WIDTH = 16
_BLOCK = 2880
_FREQUENCY_HZ = 230.538e9


class AlmaRun(Run):
    """A run of the recipe that images a MOUS."""

    executor = "executeppr"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.mous = _disk_name(self.request.mous)
        self.seen = hashlib.sha256()
        self.split = False
        self.line: hashlib._Hash | None = None
        self.self_calibrated: set[str] = set()
        self.listed: list[tuple[str, str, str, int]] = []
        self.images: dict[str, bytes] = {}

    def all_stages(self) -> None:
        """Run every stage; a failure is reported in ``products/`` too."""
        try:
            super().all_stages()
        except Exception:
            self.products.mkdir(exist_ok=True)
            (self.products / f"errorexit-{self.begun:%Y%m%dT%H%M%S}.txt").touch()
            if not self.weblog.exists():
                self.write_weblog()
            weblog = self.products / f"{self.mous}.{self.request.title}.weblog.tgz"
            weblog.write_bytes(tar(self.weblog.parent))
            raise

    def work(self, stage: str) -> None:
        """Do what a stage does."""
        parameters = self.request.parameters[len(self.done)]
        does = {
            "hifa_importdata": self._import,
            "hifa_restoredata": self._restore,
            "hifa_flagtargets": self._flag_targets,
            "hif_mstransform": self._split,
            "hif_findcont": self._find_continuum,
            "hif_uvcontsub": self._subtract,
            "hifa_exportdata": self._export_images,
        }
        takes = {
            "hif_makeimlist": self._list_continuum,
            "hif_editimlist": self._list_cube,
            "hif_selfcal": self._self_calibrate,
            "hif_makeimages": self._make_images,
        }
        if stage in takes:
            takes[stage](parameters)
        elif stage in does:
            does[stage]()

    def _import(self) -> None:
        if not self.mous:
            raise ValueError("there is no OUSStatusRef")
        for name in self.request.identifiers:
            asdm = self.products.parent / "rawdata" / name
            if not asdm.is_dir():
                raise FileNotFoundError(f"{asdm} does not exist")
            for path in sorted(path for path in asdm.rglob("*") if path.is_file()):
                self.seen.update(path.read_bytes())
            # As the real one, which has no branch for a measurement set that is there.
            measurement_set = Path(f"{name}.ms")
            measurement_set.mkdir()
            (measurement_set / "table.dat").write_bytes(self.seen.digest())

    def _restore(self) -> None:
        rawdata = self.products.parent / "rawdata"
        (manifest,) = rawdata.glob("*pipeline_manifest.xml")
        root = ET.fromstring(manifest.read_bytes())  # noqa: S314  what a test wrote
        tables = {session.get("name"): session.find("caltables").get("name") for session in root.iter("session")}
        of_asdms = {str(asdm.get("name")): [str(each.get("name")) for each in asdm] for asdm in root.iter("asdm")}
        sessions = self.request.sessions
        for name in self.request.identifiers:
            caltables = rawdata / tables[sessions.get(name, "session_1")]
            with tarfile.open(caltables) as packed:
                if not any(member.startswith(f"{name}.ms") for member in packed.getnames()):
                    raise FileNotFoundError(f"{caltables} holds no table of {name}.ms")
            for product in (caltables, *(rawdata / each for each in of_asdms[f"{name}.ms"])):
                self.seen.update(product.read_bytes())
        self._import()

    def _flag_targets(self) -> None:
        for name in self.request.identifiers:
            for ending in ("_targets", "") if self.split else ("",):
                template = Path(f"{name}{ending}.flagtargetstemplate.txt")
                if template.exists():
                    self.seen.update(template.read_bytes())
                    break

    def _find_continuum(self) -> None:
        ranges = Path("cont.dat")
        if not ranges.exists():
            ranges.write_text("Field: target\n\nSpectralWindow: 0\n230.4~230.5GHz LSRK\n")

    def _split(self) -> None:
        self.split = True

    def _subtract(self) -> None:
        self.line = self._with_ranges(self.seen)

    def _self_calibrate(self, parameters: dict[str, Any]) -> None:
        self.self_calibrated |= set(str(parameters.get("field", "target")).split(","))

    def _datatype(self, parameters: dict[str, Any], field: str) -> str | None:
        """Return what a field is imaged from; None, and no image is listed, if there is none of what is asked for."""
        best = "selfcal" if field in self.self_calibrated else "regcal"
        wanted = parameters.get("datatype") or best
        return None if wanted == "selfcal" and best == "regcal" else wanted

    def _list_continuum(self, parameters: dict[str, Any]) -> None:
        for field in str(parameters.get("field", "target")).split(","):
            datatype = self._datatype(parameters, field)
            if datatype:
                self.listed.append((field, "spw0_1.cont", datatype, 1))

    def _list_cube(self, parameters: dict[str, Any]) -> None:
        mode = parameters.get("imaging_mode", "VLASS-QL")
        if mode != "ALMA":
            raise ValueError(f"imaging_mode={mode!r}: no field is found around the phasecenter")
        if parameters.get("width") and parameters.get("nbin", -1) != -1:
            raise ValueError("width and nbin are mutually exclusive")
        field = str(parameters["field"])
        datatype = self._datatype(parameters, field)
        if datatype:
            self.listed.append((field, f"spw{parameters['spw']}.cube", datatype, int(parameters["nchan"])))

    def _make_images(self, parameters: dict[str, Any]) -> None:
        for field, part, datatype, channels in self.listed:
            cube = part.endswith(".cube")
            stem = f"{self.mous}.{field}_sci.{part}.{datatype}.I"
            version = self._version(stem, overwrite=parameters.get("overwrite_on_export", True))
            seen = self.line if cube and self.line else self._with_ranges(self.seen)
            noise = random.Random(seen.digest() + f"{stem}{version}".encode())  # noqa: S311  no secret
            pixels = _WIDTH * _WIDTH * channels
            header = {"OBJECT": field, "FIELD": field, "SPW": part[3:].partition(".")[0].replace("_", ",")}
            for kind, unit, values in (
                ("pbcor" if cube else "tt0.pbcor", "Jy/beam", [noise.gauss(0, 1e-3) for _ in range(pixels)]),
                ("pb", "", [1.0] * pixels),
                ("mask", "", [float(number % 2) for number in range(pixels)]),
            ):
                self.images[f"{stem}.{kind}{version}.fits"] = fits_image(values, channels, {"BUNIT": unit, **header})
        self.listed = []

    def _version(self, stem: str, *, overwrite: bool) -> str:
        """Return what tells an image apart from those of the same name; nothing if it takes the place of the first."""
        made = sum(name.startswith(f"{stem}.") and ".mask" in name for name in self.images)
        return "" if overwrite or not made else f".v{made + 1}"

    def _with_ranges(self, seen: hashlib._Hash) -> hashlib._Hash:
        """Return what was seen and cont.dat as it is now."""
        seen = seen.copy()
        if Path("cont.dat").exists():
            seen.update(Path("cont.dat").read_bytes())
        return seen

    def _export_images(self) -> None:
        self.products.mkdir(exist_ok=True)
        self.write_weblog()
        prefix = f"{self.mous}.{self.request.title}"
        auxiliary = tar_of(["cont.dat"], Path("cont.dat").read_bytes() if Path("cont.dat").exists() else b"none")
        named = [
            ("piperequest", f"{prefix}.pprequest.xml", self.request.bytes),
            ("weblog", f"{prefix}.weblog.tgz", tar(self.weblog.parent)),
            ("casa_cmdlog", f"{prefix}.casa_commands.log", b"# CASA commands\n"),
            ("pipescript", f"{prefix}.casa_pipescript.py", b"# pipeline script\n"),
            ("aux_products_file", f"{prefix}.auxproducts.tgz", auxiliary),
        ]
        names = self.write_products(named)
        self.write_products([("image", name, content) for name, content in self.images.items()])
        if "manifest" not in self.behaviour.without:
            results, ous = self.begin_manifest(self.mous)
            for element in ("piperequest", "weblog", "casa_cmdlog", "pipescript"):
                self.add(ous, element, names[element])
            for name in self.images if "image" not in self.behaviour.undefined else ():
                self.add(ous, "image", name, imtype="target", rms="N/A")
            names["aqua_report"] = f"{prefix}.pipeline_aquareport.xml"
            self.end_manifest(self.products / f"{prefix}.pipeline_manifest.xml", ous, results, names)
        if "report" not in self.behaviour.without:
            self.write_report(self.products / f"{prefix}.pipeline_aquareport.xml")


def _disk_name(uid: str) -> str:
    return uid.replace(":", "_").replace("/", "_")


def fits_image(values: list[float], channels: int, words: dict[str, str]) -> bytes:
    """Return a small FITS image: right ascension, declination, frequency, Stokes I."""
    facts: dict[str, object] = {
        "SIMPLE": True,
        "BITPIX": -32,
        "NAXIS": 4,
        "NAXIS1": _WIDTH,
        "NAXIS2": _WIDTH,
        "NAXIS3": channels,
        "NAXIS4": 1,
        "BMAJ": 2.5e-4,
        "BMIN": 2.0e-4,
        "BPA": 30.0,
        "RESTFRQ": _FREQUENCY_HZ,
        "EQUINOX": 2000.0,
    }
    axes = (
        ("RA---SIN", 75.0, -5e-5, "deg", _WIDTH / 2),
        ("DEC--SIN", -2.0, 5e-5, "deg", _WIDTH / 2),
        ("FREQ", _FREQUENCY_HZ, 2e6, "Hz", 1.0),
        ("STOKES", 1.0, 1.0, "", 1.0),
    )
    for number, (kind, value, step, unit, middle) in enumerate(axes, start=1):
        facts |= {f"CTYPE{number}": kind, f"CRVAL{number}": value, f"CDELT{number}": step, f"CRPIX{number}": middle}
        facts |= {f"CUNIT{number}": unit}
    cards = "".join(_card(name, value) for name, value in {**facts, **words}.items()) + "END".ljust(80)
    header = cards.encode().ljust(-(-len(cards) // _BLOCK) * _BLOCK)
    data = struct.pack(f">{len(values)}f", *values)
    return header + data.ljust(-(-len(data) // _BLOCK) * _BLOCK, b"\0")


def _card(name: str, value: object) -> str:
    if isinstance(value, bool):
        text = ("T" if value else "F").rjust(20)
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    else:
        text = (repr(value).upper() if isinstance(value, float) else str(value)).rjust(20)
    return f"{name:<8}= {text}".ljust(80)
