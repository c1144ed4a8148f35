"""Which file of a run is called what, and which stage of the pipeline reads it: one table for each family.

Everything else that has to know goes by these tables: what a run is given under which name, what its form asks for,
what a PPR must have for a file to count, and what CASA writes by itself in the place of an analyst's file.

The stages are those of the observatory's pipeline (2026): ``flagdeterbase.py``, ``flagtargetsalma.py``,
``vlasetjy.py``, ``antpos.py``, ``checkflag.py``, ``statwt.py`` and ``contfilehandler.py`` there say which file they
read, and with which parameters they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION

#: What the files are called in the ledger, and by the analysts; CASA may look for another name.
PROCESSING_REQUEST: Final = "PPR.xml"
FLAG_TEMPLATE: Final = "flagtemplate.txt"
FLUX_DENSITIES: Final = "flux.csv"
ANTENNA_POSITIONS: Final = "antennapos.csv"
TARGET_FLAGS: Final = "flagtargetstemplate.txt"
CONTINUUM_RANGES: Final = "cont.dat"
#: The PPR of a run as it was before it was adapted to the other files: kept in the ledger, read by nobody.
REQUEST_AS_GIVEN: Final = "PPR.as_given.xml"

#: What a rerun's form calls its field for having the PPR adapted to the other files.
ADAPT: Final = "Adapt the PPR to the submitted files"
#: What of CASA writes a file of its own in the place of an analyst's.
IMPORT_STAGE: Final = "import stage"
CONTINUUM_SEARCH: Final = "search for the continuum"
#: The stage that is the latter; the import, no recipe is without.
FINDS_CONTINUUM: Final = "hif_findcont"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A stage that reads a file.

    Attributes:
        stage: its name.
        parameters: the parameters, with their values, without which it does not read the file.
        switch: a parameter with which it does not, if that is False.
        names: a parameter that makes it read a file of another name.
    """

    stage: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    switch: str | None = None
    names: str | None = None


@dataclass(frozen=True, kw_only=True)
class Addition:
    """A stage to add so that a file is read; place and parameters are known.

    Attributes:
        stage: its name.
        behind: the stage behind which it belongs.
        parameters: its parameters.
    """

    stage: str
    behind: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AnalystFile:
    """A file that a run can be given.

    Attributes:
        form_field: what the fields of a form for it begin with.
        staged: its names in ``working/``; those with ``{data}`` are there once for each measurement set, of the EB or
            of the MOUS's ASDMs. Which of the names a release of the pipeline reads may differ.
        readers: the stages that read it; the PPR must have one of them; none for the PPR itself.
        addition: the stage that may be added if it has none.
        in_vain_behind: the stages behind which reading it has no effect any more -> why.
        written_by: the stage that would look for the same by itself, and so must not be there.
        left_by_casa: what of CASA writes one by itself if there is none; None if nothing does.
    """

    form_field: str
    staged: tuple[str, ...]
    readers: tuple[Reader, ...] = ()
    addition: Addition | None = None
    in_vain_behind: Mapping[str, str] = field(default_factory=dict)
    written_by: str | None = None
    left_by_casa: str | None = None


_REQUEST = AnalystFile(form_field="processing_request", staged=(PROCESSING_REQUEST,))

#: Kind of request -> name of a file, as people use it -> what there is to know of it. The PPR is the first.
ANALYST_FILES: Final[Mapping[str, Mapping[str, AnalystFile]]] = MappingProxyType(
    {
        VLA_CALIBRATION: {
            PROCESSING_REQUEST: _REQUEST,
            FLAG_TEMPLATE: AnalystFile(
                form_field="flag_template",
                staged=("{data}.flagtemplate.txt",),
                readers=(Reader(stage="hifv_flagdata", switch="template", names="filetemplate"),),
                left_by_casa=IMPORT_STAGE,
            ),
            FLUX_DENSITIES: AnalystFile(
                form_field="flux_densities",
                staged=("flux.csv",),
                readers=(Reader(stage="hifv_vlasetjy", names="reffile"),),
                left_by_casa=IMPORT_STAGE,
            ),
            ANTENNA_POSITIONS: AnalystFile(
                form_field="antenna_positions",
                staged=("antennapos.csv",),
                # Not hifv_priorcals, which looks its corrections up by itself.
                readers=(Reader(stage="hif_antpos", parameters={"hm_antpos": "file"}, names="antposfile"),),
                addition=Addition(stage="hif_antpos", behind="hifv_priorcals", parameters={"hm_antpos": "file"}),
                in_vain_behind={"hifv_applycals": "the calibration would not have the corrections"},
            ),
            CONTINUUM_RANGES: AnalystFile(
                form_field="continuum_ranges",
                staged=("cont.dat",),
                # They keep spectral lines from being flagged, and out of the weights; the others subtract or image.
                readers=(
                    Reader(stage="hifv_checkflag", parameters={"checkflagmode": "target-vla"}, switch="usecontdat"),
                    Reader(stage="hifv_statwt"),
                    Reader(stage="hifv_targetflag"),
                    Reader(stage=FINDS_CONTINUUM),
                    Reader(stage="hif_uvcontsub"),
                    Reader(stage="hif_selfcal", names="contfile"),
                ),
                left_by_casa=CONTINUUM_SEARCH,
            ),
        },
        ALMA_IMAGING: {
            PROCESSING_REQUEST: _REQUEST,
            TARGET_FLAGS: AnalystFile(
                form_field="flag_template",
                staged=("{data}.flagtargetstemplate.txt", "{data}_targets.flagtargetstemplate.txt"),
                readers=(Reader(stage="hifa_flagtargets", switch="template", names="filetemplate"),),
                addition=Addition(stage="hifa_flagtargets", behind="hif_mstransform"),
                in_vain_behind={
                    "hif_uvcontsub": "cubes, which are made from what was split off there, would not have the flags",
                    "hif_makeimages": "its images would not have the flags",
                },
            ),
            CONTINUUM_RANGES: AnalystFile(
                form_field="continuum_ranges",
                staged=("cont.dat",),
                readers=(
                    Reader(stage="hif_uvcontsub"),
                    Reader(stage="hif_selfcal", names="contfile"),
                    Reader(stage="hif_makeimlist"),
                    Reader(stage="hif_makeimages"),
                ),
                written_by=FINDS_CONTINUUM,
                left_by_casa=CONTINUUM_SEARCH,
            ),
        },
    }
)


def file_names(kind: str) -> tuple[str, ...]:
    """Return which files a run of a kind can be given, the PPR first, by the names that people use.

    Args:
        kind: what is made, for example ``vla_calibration``.
    """
    return tuple(ANALYST_FILES[kind])


def left_by_casa(kind: str) -> Mapping[str, str]:
    """Return the files that CASA itself writes where an analyst's would be, and what of CASA does.

    Not its templates of target flags, which hold no command and may differ from one ASDM to the next.

    Args:
        kind: what is made, for example ``alma_imaging``.
    """
    return {name: file.left_by_casa for name, file in ANALYST_FILES[kind].items() if file.left_by_casa}
