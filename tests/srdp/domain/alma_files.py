"""A MOUS of two ASDMs, what a user asks of it, and the PPR that comes of it, for tests of the ALMA family's files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from srdp.domain.imaging.request import ImagingRequest, imaging_request
from srdp.domain.ppr.document import recipe_template, render_alma_processing_request
from srdp.domain.ppr.subject import asdm
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.families.alma_imaging import alma_subject

TEMPLATES = Path(__file__).parents[3] / "include" / "templates"
MOUS = "uid://A001/X1288/X3f"
PROJECT = "2019.1.00001.S"
RUN = pipeline_run_id("alma-20261122-182453-4f7k")
ASDMS = (asdm("uid://A002/X85c183/X36f"), asdm("uid://A002/X85c183/X60"))
FIRST, SECOND = (each.disk_name for each in ASDMS)
SUBJECT = alma_subject(MOUS, ASDMS, PROJECT)
ASKED: dict[str, Any] = {
    "mous": MOUS,
    "fields": "TW_Hya, V*_BP_Tau",
    "continuum": True,
    "cubes": "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80\nV*_BP_Tau, 27, 330.588, 330.1GHz, 488.28kHz, 960",
    "angular_resolution_arcsec": "0.5",
    "asked_by": "astronomer",
    "asked_by_email": "astronomer@example.org",
}

FLAGS = b"mode='manual' antenna='DA41' reason='tracking'\n"
RANGES = b"Field: TW_Hya\n\nSpectralWindow: 25 X1#ALMA_RB_07#BB_1\n345.703~345.781GHz LSRK\n345.812~345.900GHz LSRK\n"


def asked(**changes: object) -> ImagingRequest:
    """The request with something else in it."""
    return imaging_request(**{**ASKED, **changes})


def processing_request(request: ImagingRequest | None = None) -> bytes:
    """The PPR that the recipe gives for a request."""
    return render_alma_processing_request(
        recipe_template(TEMPLATES, "alma_imaging"),
        request=request or asked(),
        project=PROJECT,
        asdms=ASDMS,
        pipeline_run_id=RUN,
        processing_site="Charlottesville",
        operator="almapipe",
    )


def stage_in(ppr: bytes, name: str) -> bytes:
    """The whole ``ProcessingCommand`` of a stage that a PPR has once."""
    [found] = re.findall(
        rb"<ProcessingCommand>\s*<Command>" + name.encode() + rb"</Command>.*?</ProcessingCommand>", ppr, re.DOTALL
    )
    return bytes(found)
