"""What an imaging of ALMA leaves, made without CASA: images with the headers of CASA, and what is beside them."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from astropy.io import fits

from srdp.domain.runs.identifiers import disk_name
from srdp.domain.runs.pipeline_run import RunDirectory

WEBLOG = "pipeline-20260101T000000/html"
ASDM = "uid___A002_Xabc_X1"
FLAGS = "mode='manual' antenna='DV01'\n"
#: The endings of the names of the images, by whether users want them.
SCIENCE = ("TW_Hya_sci.spw25.cube.I.pbcor.fits", "TW_Hya_sci.spw25_27.cont.I.tt0.pbcor.fits")
ANCILLARY = ("TW_Hya_sci.spw25.cube.I.mask.fits", "TW_Hya_sci.spw25.cube.I.pb.fits")
#: The noise of the images before they are corrected for the primary beam, in their unit.
NOISE = 0.002


def image(name: str) -> str:
    """Return the whole name of an image of :data:`SCIENCE` or :data:`ANCILLARY`, of the MOUS of these tests."""
    return f"uid___A001_X1288_X3f.{name}"


def fits_image(shape: tuple[int, ...], data: Any = None, **header: Any) -> bytes:
    """Return a FITS image.

    Args:
        shape: Stokes, channels, rows, columns.
        data: the pixels; noise if they are not given.
        **header: keywords that differ; None takes one away.
    """
    if data is None:
        data = np.random.default_rng(1).normal(0.0, NOISE, shape).astype(np.float32)
    hdu = fits.PrimaryHDU(data)
    said: dict[str, Any] = {
        "OBJECT": "TW_Hya", "BUNIT": "Jy/beam", "BMAJ": 2.0 / 3600, "BMIN": 1.5 / 3600, "BPA": -30.0,
        "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ", "CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0,
        "CRPIX4": 1.0, "RESTFRQ": 345.796e9,
    } | header  # fmt: skip
    for keyword, value in said.items():
        if value is not None:
            hdu.header[keyword] = value
    written = io.BytesIO()
    hdu.writeto(written)
    return written.getvalue()


@functools.cache
def _images() -> dict[str, bytes]:
    """A cube with the mask and the primary beam that it is corrected for, and a continuum image."""
    cube, continuum, mask, beam = (image(name) for name in (*SCIENCE, *ANCILLARY))
    shape = (1, 8, 24, 32)
    rows, columns = np.mgrid[:24, :32]
    # A Gaussian that falls below 0.2 within the image, by which the pipeline chooses where the noise is measured.
    gaussian = np.exp(-((rows - 12) ** 2 + (columns - 16) ** 2) / (2 * 6.4**2))
    gains = np.broadcast_to(np.maximum(gaussian, 0.1), shape).astype(np.float32)
    flat = np.random.default_rng(1).normal(0.0, NOISE, shape)
    return {
        cube: fits_image(shape, (flat / gains).astype(np.float32)),
        continuum: fits_image((1, 1, 24, 32)),
        mask: fits_image(shape, (gains > 0.9).astype(np.float32)),
        beam: fits_image(shape, gains),
    }


def manifest_of_images(mous: str) -> str:
    """Return what the manifest of a run's images is called.

    Args:
        mous: its UID.
    """
    return f"{disk_name(mous)}.hifa_cubeimage.pipeline_manifest.xml"


def weblog_of_images(mous: str) -> str:
    """Return what the tar of the weblog is called; see :func:`manifest_of_images`."""
    return f"{disk_name(mous)}.hifa_cubeimage.weblog.tgz"


def fill_image_directory(directory: RunDirectory, mous: str) -> None:
    """Make what CASA leaves: images with their manifest, the weblog, the flags of the targets.

    Args:
        directory: the run's directory.
        mous: its UID.
    """
    for place in (directory.rawdata / ASDM, directory.working, directory.products):
        place.mkdir(parents=True)
    prefix = f"{disk_name(mous)}.hifa_cubeimage"
    images = {name.replace("uid___A001_X1288_X3f", disk_name(mous)): data for name, data in _images().items()}
    named = "".join(f'<image name="{name}"/>' for name in images)
    files = {
        f"{prefix}.pprequest.xml": b"<SciPipeRequest/>",
        f"{prefix}.pipeline_aquareport.xml": b"<report/>",
        f"{prefix}.auxproducts.tgz": b"auxiliary",
        weblog_of_images(mous): b"the pipeline's own",
        manifest_of_images(mous): f'<piperesults><ous name="{disk_name(mous)}"><casaversion name="6.7.0.31"/>'
        f'<piperequest name="{prefix}.pprequest.xml"/><weblog name="{weblog_of_images(mous)}"/>{named}</ous>'
        "</piperesults>".encode(),
    }
    for name, content in (files | images).items():
        (directory.products / name).write_bytes(content)
    weblog = directory.working / WEBLOG
    weblog.mkdir(parents=True)
    (weblog / "t1-1.html").write_text("<html>the weblog</html>")
    (weblog / "index.html").symlink_to("t1-1.html")
    for name in (f"{ASDM}.flagtargetstemplate.txt", f"{ASDM}_targets.flagtargetstemplate.txt"):
        (directory.working / name).write_text(FLAGS)
