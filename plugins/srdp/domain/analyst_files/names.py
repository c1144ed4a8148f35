"""What a file that a run can be given is called, and which stage of the pipeline reads it.

Each family has a table of its own (:mod:`srdp.families`), and everything else that has to know goes by it: what a run
is given under which name, what its form asks for, what a PPR must have for a file to count, and what CASA writes by
itself in the place of an analyst's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

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


#: The PPR, which no stage reads.
REQUEST_FILE: Final = AnalystFile(form_field="processing_request", staged=(PROCESSING_REQUEST,))
