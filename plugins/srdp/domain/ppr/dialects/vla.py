"""How a VLA PPR names its data: one ``SdmIdentifier``, the execution block."""

from __future__ import annotations

from srdp.domain.ppr.dialects.dialect import Dialect, PprNotes
from srdp.domain.ppr.markup import Element, text_of
from srdp.domain.ppr.reader import SUMMARY_OF_VLA
from srdp.domain.ppr.structure import DATA, REFUSED


def _vla_data(linter: PprNotes, root: Element, request: Element) -> None:  # noqa: ARG001
    execution_block = linter.subject.name
    for number, sdm in enumerate(request.findall("DataSet/SdmIdentifier")):
        if text_of(sdm) != execution_block:
            problem = "is not the execution block of this run"
            linter.error(sdm, text_of(sdm), problem, f"name {execution_block} alone")
        elif number:
            problem = "is named in a second SdmIdentifier, and the pipeline would then process none"
            linter.error(sdm, text_of(sdm), problem, "keep one SdmIdentifier")


VLA_DIALECT = Dialect(
    subject="execution block",
    prefix="hifv",
    relative_path="DataSet/RelativePath",
    required={DATA: ("SdmIdentifier", "RelativePath")},
    leaves={
        **{f"ProjectSummary/{name}": REFUSED for name in SUMMARY_OF_VLA},
        f"{DATA}/SdmIdentifier": "the pipeline would process nothing",
        f"{DATA}/RelativePath": REFUSED,
    },
    data=_vla_data,
)
