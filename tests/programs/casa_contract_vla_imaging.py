"""What the contract CASA does with a VLA PPR called ``hifv_contimage``: it makes images, and exports nothing else."""

from __future__ import annotations

import random
from pathlib import Path

from casa_contract import Run, tar
from casa_contract_alma import fits_image

_PIXELS = 16 * 16


class VlaImagingRun(Run):
    """A run of a recipe that images the continuum of an execution block."""

    def work(self, stage: str) -> None:
        """Do what a stage does."""
        if stage == "hifv_importdata":
            self._import()
        elif stage == "hifv_exportdata":
            self._export_images()

    def _export_images(self) -> None:
        self.products.mkdir(exist_ok=True)
        self.write_weblog()
        prefix, stem = f"unknown.{self.request.title}", f"{self.sdm.name}.target_sci.spw0_15.cont.regcal.I"
        noise = random.Random(self.calibration)  # noqa: S311  no secret
        header = {"OBJECT": "target", "FIELD": "target", "SPW": "0,15"}
        images = {
            f"{stem}.tt0.pbcor.fits": fits_image(
                [noise.gauss(0, 1e-3) for _ in range(_PIXELS)], 1, {"BUNIT": "Jy/beam", **header}
            ),
            f"{stem}.pb.fits": fits_image([1.0] * _PIXELS, 1, {"BUNIT": "", **header}),
        }
        named = [
            ("piperequest", f"{prefix}.pprequest.xml", self.request.bytes),
            ("weblog", f"{prefix}.weblog.tgz", tar(self.weblog.parent)),
            ("casa_cmdlog", "casa_commands.log", b"# CASA commands\n"),
            ("pipescript", "casa_pipescript.py", b"# pipeline script\n"),
            ("aux_products_file", f"{prefix}.auxproducts.tgz", tar(Path(self.weblog))),
        ]
        names = self.write_products(named)
        self.write_products([("image", name, content) for name, content in images.items()])
        results, ous = self.begin_manifest(self.sdm.name)
        for element in ("piperequest", "weblog", "casa_cmdlog", "pipescript"):
            self.add(ous, element, names[element])
        for name in images:
            self.add(ous, "image", name, imtype="target", rms="N/A")
        names["aqua_report"] = "pipeline_aquareport.xml"
        self.end_manifest(self.products / f"{prefix}.pipeline_manifest.xml", ous, results, names)
        self.write_report(self.products / "pipeline_aquareport.xml")
