"""Where the pipeline's reader looks for each element of a PPR, and what becomes of the run without it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from srdp.domain.ppr.markup import ROOT, Element, text_of
from srdp.domain.ppr.reader import REFERENCES, SCHED_BLOCK, SUMMARY_OF_VLA, TITLES
from srdp.domain.ppr.stage_problems import Stage

#: The paths of elements below the root.
REQUEST = "ProcessingRequests/ProcessingRequest"
PROCEDURE, INTENTS = f"{REQUEST}/ProcessingProcedure", f"{REQUEST}/ProcessingIntents"
COMMAND = f"{PROCEDURE}/ProcessingCommand"
PARAMETER = f"{COMMAND}/ParameterSet/Parameter"
DATA, BLOCK = f"{REQUEST}/DataSet", f"{REQUEST}/{SCHED_BLOCK}"
STRUCTURE = "ProjectStructure"
OLD_STRUCTURE = f"{STRUCTURE}/AlmaStructure"
#: What the pipeline's reader asks for, by the path of the parent; it fails without.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "": ("ProjectSummary", "ProcessingRequests"),
    "ProjectSummary": SUMMARY_OF_VLA,
    "ProcessingRequests": ("ProcessingRequest",),
    REQUEST: ("ProcessingIntents", "ProcessingProcedure", "DataSet"),
    PROCEDURE: ("ProcessingCommand",),
}
#: Of these there is one in its parent: of several, the reader finds none.
SINGLE = frozenset(
    {
        *("ProjectSummary", "ProcessingRequests", "ProcessingRequest", *SUMMARY_OF_VLA),
        *("ProcessingIntents", "ProcessingProcedure", "DataSet", "RelativePath"),
        *("ProcedureTitle", "Command", "ParameterSet", "Keyword", "Value"),
        *(STRUCTURE, "AlmaStructure", *REFERENCES, *TITLES, "SchedBlockSet", "SchedBlockIdentifier"),
        *("AsdmRef", "ExecBlockId", "AsdmDiskName"),
    }
)
#: What there is within a recipe; anything else would be a stage or a parameter that is not there.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "ProcessingIntents": ("Intents",),
    "Intents": ("Keyword", "Value"),
    "ProcessingProcedure": ("ProcedureTitle", "ProcessingCommand"),
    "ProcessingCommand": ("Command", "ParameterSet"),
    "ParameterSet": ("Parameter",),
    "Parameter": ("Keyword", "Value"),
}
#: Where the reader looks for what; the same name elsewhere is not read.
PLACES: Mapping[str, tuple[str, ...]] = {
    "ProjectSummary": ("ProjectSummary",),
    "ProcessingRequests": ("ProcessingRequests",),
    "ProcessingRequest": (REQUEST,),
    "ProcessingIntents": (INTENTS,),
    "ProcessingProcedure": (PROCEDURE,),
    "DataSet": (DATA,),
    "Intents": (f"{INTENTS}/Intents",),
    "ProcedureTitle": (f"{PROCEDURE}/ProcedureTitle",),
    "ProcessingCommand": (COMMAND,),
    "Command": (f"{COMMAND}/Command",),
    "ParameterSet": (f"{COMMAND}/ParameterSet",),
    "Parameter": (PARAMETER,),
    "Keyword": (f"{PARAMETER}/Keyword", f"{INTENTS}/Intents/Keyword"),
    "SdmIdentifier": (f"{DATA}/SdmIdentifier",),
    "SchedBlockSet": (f"{DATA}/SchedBlockSet",),
    "SchedBlockIdentifier": (BLOCK,),
    "AsdmIdentifier": (f"{BLOCK}/AsdmIdentifier",),
    "AsdmDiskName": (f"{BLOCK}/AsdmIdentifier/AsdmDiskName",),
    "ExecBlockId": (f"{BLOCK}/AsdmIdentifier/AsdmRef/ExecBlockId",),
    "RelativePath": (f"{DATA}/RelativePath", f"{BLOCK}/RelativePath"),
    "OUSStatusRef": (f"{STRUCTURE}/OUSStatusRef", f"{OLD_STRUCTURE}/OUSStatusRef"),
}
#: What becomes of a run without an element that must be there.
REFUSED = "the pipeline would refuse the whole PPR"
#: The elements that hold a text, and what becomes of the run if the reader cannot take it.
LEAVES: Mapping[str, str] = {
    f"{PROCEDURE}/ProcedureTitle": "the recipe would be called Undefined",
    f"{COMMAND}/Command": "the pipeline would silently drop this stage and all later ones",
    f"{PARAMETER}/Keyword": "the pipeline would silently drop this parameter and all later ones of the stage",
    f"{PARAMETER}/Value": "the stage would get an empty text",
    f"{INTENTS}/Intents/Keyword": "the pipeline would silently drop this intent and all later ones",
    f"{INTENTS}/Intents/Value": "the pipeline would take an empty text",
}
#: The values among them, which may be empty and are cast; all others are names, by which the executor fails then.
VALUES = frozenset({f"{PARAMETER}/Value", f"{INTENTS}/Intents/Value"})
#: How the names of the stages end that export.
EXPORT = "_exportdata"
#: An intent that lists the ASDMs of a session.
SESSION = re.compile(r"SESSION_([0-9]{1,4})")


def command_name(command: Element) -> str:
    """Return the name of a stage, as it is written; empty if there is none."""
    return text_of(command.find("Command"))


def stage_of(command: Element) -> Stage:
    """Return a stage with its parameters as they are written; of a repeated keyword the last wins."""
    parameters = command.findall("ParameterSet/Parameter")
    return Stage(
        command_name(command), {text_of(each.find("Keyword")): text_of(each.find("Value")) for each in parameters}
    )


#: Every name that a PPR's reader looks for.
SPELLINGS = frozenset({*PLACES, *SINGLE, *(tag for tags in KNOWN.values() for tag in tags), "AsdmIdentifier"})
#: The elements with nothing but elements in them.
CONTAINERS = frozenset(
    {ROOT, *("/".join(places).split("/")[-2] for places in PLACES.values() if "/" in places[0])}
    - {STRUCTURE, "AlmaStructure"}
)
