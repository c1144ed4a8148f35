"""Runs the sandbox's pipeline on the simulated MOUS, as ALMA does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree
from tests.sandbox.pipeline.running import HEURISTICS, Command, Run, run_with

from sandbox.alma_observation import facts

MOUS_UID = "uid://A001/X1288/X3f"
ASDM_UID = "uid://A002/Xd5a7c2/X1f3"
MOUS, ASDM = facts.MOUS, facts.ASDM
TARGETS = f"{ASDM}_targets"
PREFIX = f"{MOUS}.hifa_cubeimage"
CONTINUUM = f"{MOUS}.{facts.TARGET}_sci.spw0_1.cont.regcal.I"
CUBE = f"{MOUS}.{facts.TARGET}_sci.spw0.cube.regcal.I"
_LINE = f"{facts.LINE_REST_FREQUENCY / 1e9:.6f}GHz"

_CUBE = {
    "imaging_mode": "ALMA",
    "specmode": "cube",
    "field": facts.TARGET,
    "spw": "0",
    "restfreq": _LINE,
    "start": "-10km/s",
    "width": "5.2km/s",
    "nbin": "-1",
    "nchan": "10",
}

#: The recipe of an imaging that a user asked for: the continuum, and two cubes of one window.
IMAGING_RECIPE: tuple[Command, ...] = (
    ("hifa_restoredata", {"copytoraw": "False"}),
    ("hif_mstransform", {}),
    ("hifa_imageprecheck", {}),
    ("hif_checkproductsize", {"maxcubesize": "100", "maxcubelimit": "120", "maxproductsize": "10000"}),
    ("hif_findcont", {"field": facts.TARGET}),
    ("hif_uvcontsub", {"field": facts.TARGET}),
    ("hif_makeimlist", {"specmode": "cont", "field": facts.TARGET}),
    ("hif_makeimages", {}),
    ("hif_editimlist", _CUBE),
    ("hif_makeimages", {"overwrite_on_export": "False"}),
    ("hif_editimlist", {**_CUBE, "start": "0km/s", "nchan": "2"}),
    ("hif_makeimages", {"overwrite_on_export": "False"}),
    ("hifa_exportdata", {"imaging_products_only": "True"}),
)

#: What an analyst makes of it: target flags, no search for the continuum, and images of self-calibrated data too.
EDITED_RECIPE: tuple[Command, ...] = (
    *IMAGING_RECIPE[:2],
    ("hifa_flagtargets", {}),
    *IMAGING_RECIPE[5:10],
    ("hif_selfcal", {"field": facts.TARGET, "recal": "True"}),
    ("hif_makeimlist", {"specmode": "cont", "field": facts.TARGET, "datatype": "selfcal"}),
    ("hif_makeimages", {}),
    IMAGING_RECIPE[-1],
)
#: An analyst's cont.dat that finds no continuum beside the line.
EDITED_CONTINUUM = f"""\
Field: {facts.TARGET}

SpectralWindow: 0 ALMA_RB_06#BB_1
NONE

SpectralWindow: 1
232.5308~232.5728GHz LSRK
"""


def alma_request(
    commands: Iterable[Command],
    *,
    relative_path: str = "run",
    asdms: Mapping[str, str] | None = None,
    sessions: Mapping[str, str] | None = None,
) -> str:
    """Return a PPR; `asdms` are the names of the ASDMs by their UIDs, `sessions` the UIDs by the keyword."""
    listed = "".join(
        f"<ProcessingCommand><Command>{task}</Command><ParameterSet>"
        + "".join(
            f"<Parameter><Keyword>{keyword}</Keyword><Value>{value}</Value></Parameter>"
            for keyword, value in parameters.items()
        )
        + "</ParameterSet></ProcessingCommand>"
        for task, parameters in commands
    )
    identifiers = "".join(
        f"<AsdmIdentifier><AsdmRef><ExecBlockId>{uid}</ExecBlockId></AsdmRef>"
        f"<AsdmDiskName>{name}</AsdmDiskName></AsdmIdentifier>"
        for uid, name in (asdms if asdms is not None else {ASDM_UID: ASDM}).items()
    )
    intents = "".join(
        f"<Intents><Keyword>{keyword}</Keyword><Value>{value}</Value></Intents>"
        for keyword, value in (sessions or {"SESSION_1": ASDM_UID}).items()
    )
    return (
        f"<SciPipeRequest><ProjectSummary><ProposalCode>{facts.PROJECT}</ProposalCode>"
        "<Observatory>ALMA Joint Observatory</Observatory><Telescope>ALMA</Telescope>"
        "<ProcessingSite>NAASC</ProcessingSite><Operator>almapipe</Operator><Mode>SCIENCE</Mode></ProjectSummary>"
        '<ProjectStructure><ObsUnitSetRef entityId="uid://A001/X1/X2" partId="X3" entityTypeName="ObsProject"/>'
        "<ObsUnitSetTitle>Member</ObsUnitSetTitle><ObsUnitSetType>Member</ObsUnitSetType>"
        '<ProjectStatusRef entityId="uid://A001/X1/X4" entityTypeName="ProjectStatus"/>'
        f'<OUSStatusRef entityId="{MOUS_UID}" entityTypeName="OUSStatus"/></ProjectStructure>'
        f"<ProcessingRequests><ProcessingRequest><ProcessingIntents>{intents}</ProcessingIntents>"
        f"<ProcessingProcedure><ProcedureTitle>hifa_cubeimage</ProcedureTitle>{listed}</ProcessingProcedure>"
        f"<DataSet><SchedBlockSet><SchedBlockIdentifier><RelativePath>{relative_path}</RelativePath>{identifiers}"
        "</SchedBlockIdentifier></SchedBlockSet></DataSet></ProcessingRequest></ProcessingRequests></SciPipeRequest>"
    )


@dataclass(frozen=True)
class ImagingRun(Run):
    """A run directory after the pipeline has run the ALMA recipe in it."""

    @property
    def manifest(self) -> Any:
        return etree.parse(self.products / f"{PREFIX}.pipeline_manifest.xml").getroot()

    @property
    def aqua_report(self) -> Any:
        return etree.parse(self.products / f"{PREFIX}.pipeline_aquareport.xml").getroot()


def prepare_imaging(
    root: Path, mous: Path, commands: Iterable[Command], *, files: Mapping[str, str] | None = None
) -> None:
    """Make a run directory with its raw data, its PPR, and the files that an analyst would add.

    Among these may be a PPR, which takes the place of the one with these commands.
    """
    working, rawdata = root / "working", root / "rawdata"
    for directory in (working, rawdata, root / "products"):
        directory.mkdir(parents=True)
    for path in mous.iterdir():
        (rawdata / path.name).symlink_to(path)
    (working / "PPR.xml").write_text(alma_request(commands, relative_path=root.name))
    for name, text in (files or {}).items():
        (working / name).write_text(text)


def run_imaging(root: Path) -> ImagingRun:
    """Run the pipeline in a run directory that is prepared."""
    ended = run_with(root, HEURISTICS / "pipeline" / "runpipeline.py")
    return ImagingRun(ended.root, ended.exit_status, ended.output)
