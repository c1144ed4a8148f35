"""How an ALMA PPR names its data: the MOUS, its ASDMs and their sessions; and which parameters its stages need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from srdp.domain.common.pipeline_values import cast_text
from srdp.domain.ppr.dialects.dialect import Dialect, PprNotes
from srdp.domain.ppr.markup import Element, text_of
from srdp.domain.ppr.reader import BETWEEN_UIDS, REFERENCES, SCHED_BLOCK, SUMMARY_OF_ALMA, TITLES
from srdp.domain.ppr.stage_problems import Stage, as_xml
from srdp.domain.ppr.structure import (
    BLOCK,
    DATA,
    EXPORT,
    OLD_STRUCTURE,
    REFUSED,
    SESSION,
    STRUCTURE,
    command_name,
    stage_of,
)
from srdp.domain.runs.identifiers import disk_name

_RESTORE, _IMAGES = "hifa_restoredata", "hif_makeimages"
_LISTS = frozenset({"hif_makeimlist", "hif_editimlist"})


def _alma_data(linter: PprNotes, root: Element, request: Element) -> None:
    structure, mous = _structure(root), linter.subject.name
    if structure is not None:
        linter.require(structure, (*REFERENCES, *TITLES))
        _references(linter, structure)
        status = structure.find("OUSStatusRef")
        if status is not None and (entity := status.attributes.get("entityId", "")) != mous:
            linter.error(status, entity, "is no entityId of this run's MOUS", f'write entityId="{mous}"')
    known: dict[str, str] = {asdm.uid: asdm.disk_name for asdm in linter.subject.asdms}
    elements = request.findall(f"{SCHED_BLOCK}/AsdmIdentifier")
    named = [_asdm(linter, each, known) for each in elements]
    for number, uid in enumerate(named):
        if uid and uid in named[:number]:
            linter.error(elements[number], uid, "is named twice", "keep one AsdmIdentifier of it")
    block = request.find(SCHED_BLOCK)
    for uid, on_disk in known.items():
        if block is not None and uid not in named:
            fix = (
                f"add <AsdmIdentifier><AsdmRef><ExecBlockId>{uid}</ExecBlockId></AsdmRef>"
                f"<AsdmDiskName>{on_disk}</AsdmDiskName></AsdmIdentifier>"
            )
            linter.error(block, block.tag, f"does not name {uid}, which belongs to {mous}", fix)
    _sessions(linter, request, known or dict.fromkeys(named, ""))


def _structure(root: Element) -> Element | None:
    """Return where ALMA's reader looks for the MOUS: older PPRs have it in an ``AlmaStructure``."""
    if root.find(f"{STRUCTURE}/OUSStatusRef") is not None:
        return root.find(STRUCTURE)
    return root.find(OLD_STRUCTURE) or root.find(STRUCTURE)


def _references(linter: PprNotes, structure: Element) -> None:
    for name, keys in REFERENCES.items():
        for element in structure.findall(name):
            for key in keys:
                value = cast_text(element.attributes.get(key, ""))
                if not isinstance(value, str):
                    problem = f"is read as {value!r}, and the pipeline would end where it needs a text"
                    fix = f"write a {key} that is no number and no truth value"
                    linter.error(element, element.attributes[key], problem, fix)


def _asdm(linter: PprNotes, element: Element, known: Mapping[str, str]) -> str:
    """Note what is wrong with an ASDM; return its UID."""
    linter.require(element, ("AsdmRef/ExecBlockId", "AsdmDiskName"))
    uid, on_disk = element.find("AsdmRef/ExecBlockId"), element.find("AsdmDiskName")
    if known and uid is not None and text_of(uid) not in known:
        problem = f"is no ASDM of {linter.subject.name}"
        linter.error(uid, text_of(uid), problem, f"name {' and '.join(known)} alone")
    elif known and on_disk is not None and text_of(on_disk) != known.get(text_of(uid), text_of(on_disk)):
        problem = f"is not how the directory of {text_of(uid)} is called"
        linter.error(on_disk, text_of(on_disk), problem, f"write {known[text_of(uid)]}")
    elif not known and text_of(on_disk) not in {"", disk_name(text_of(uid))}:
        problem = f"is not how the directory of {text_of(uid)} is called, and the pipeline finds its session by it"
        linter.error(on_disk or element, text_of(on_disk), problem, f"write {disk_name(text_of(uid))}")
    return text_of(uid)


def _sessions(linter: PprNotes, request: Element, asdms: Mapping[str, str]) -> None:
    """Note what is wrong with the sessions, which the reader counts up from 1 to the first that is missing."""
    seen: set[str] = set()
    numbers: set[int] = set()
    for intents, number in _session_intents(request):
        if number - 1 not in {0, *numbers}:
            problem = "has no session before it, and the pipeline would drop it and all later ones"
            linter.error(intents, f"SESSION_{number}", problem, "count the sessions from 1, without a gap")
        numbers.add(number)
        keyword = text_of(intents.find("Keyword"))
        if keyword != f"SESSION_{number}":
            problem = "is not how the pipeline counts, and it would drop this session and all later ones"
            linter.error(intents, keyword, problem, f"write SESSION_{number}")
        for uid in text_of(intents.find("Value")).split(BETWEEN_UIDS):
            _session_member(linter, intents, number, uid, asdms, seen)
    place = request.find("ProcessingIntents")
    for uid in asdms:
        if place is not None and uid and uid not in seen:
            fix = f'add it to the Value of its session in the calibration, with "{BETWEEN_UIDS}" between UIDs'
            linter.error(place, uid, "is in no session", fix)


def _session_intents(request: Element) -> list[tuple[Element, int]]:
    found = []
    for intents in request.findall("ProcessingIntents/Intents"):
        match = SESSION.fullmatch(text_of(intents.find("Keyword")))
        if match:
            found.append((intents, int(match[1])))
    return sorted(found, key=lambda pair: pair[1])


def _session_member(
    linter: PprNotes, intents: Element, number: int, uid: str, asdms: Mapping[str, str], seen: set[str]
) -> None:
    value, calibrated = intents.find("Value"), linter.subject.sessions.get(uid, number)
    place = intents if value is None else value
    if uid not in asdms:
        fix = f'write UIDs of the ASDMs that the DataSet names, with "{BETWEEN_UIDS}" between them'
        linter.error(place, uid, "is no ASDM of this run", fix)
    elif uid in seen:
        linter.error(place, uid, "is in a session already", "name it once")
    elif calibrated != number:
        problem = f"is in SESSION_{number}, but the calibration that is restored has its tables in session_{calibrated}"
        linter.error(place, uid, problem, f"put it into the Value of SESSION_{calibrated}")
    seen.add(uid)


def _alma_stages(linter: PprNotes, commands: Sequence[Element]) -> None:
    names = [command_name(command) for command in commands]
    if commands and _IMAGES not in names:
        fix = f"list them by one of {', '.join(sorted(_LISTS))}, and add {as_xml(Stage(_IMAGES))} behind it"
        linter.error(commands[-1], names[-1], "comes without any stage that makes images", fix)
    for number, (name, command) in enumerate(zip(names, commands, strict=True)):
        if name == _RESTORE and stage_of(command).parameters.get("copytoraw") != "False":
            problem = "does not say that the calibration is in rawdata/, and would look for it in products/"
            fix = "give it <Parameter><Keyword>copytoraw</Keyword><Value>False</Value></Parameter>"
            linter.error(command, name, problem, fix)
        elif name in _LISTS and _IMAGES not in names[number:]:
            fix = f"add {as_xml(Stage(_IMAGES))} behind it"
            linter.error(command, name, "is followed by no stage that makes the images which it lists", fix)
        elif name.endswith(EXPORT) and stage_of(command).parameters.get("imaging_products_only") != "True":
            problem = "does not have imaging_products_only=True, and would export the calibration again"
            linter.warn(command, name, problem, "give it the parameter")


ALMA_DIALECT = Dialect(
    subject="MOUS",
    prefix="hifa",
    relative_path=f"{SCHED_BLOCK}/RelativePath",
    required={
        "": (STRUCTURE,),
        DATA: ("SchedBlockSet",),
        f"{DATA}/SchedBlockSet": ("SchedBlockIdentifier",),
        BLOCK: ("RelativePath", "AsdmIdentifier"),
    },
    known={"DataSet": ("SchedBlockSet",), "AsdmIdentifier": ("AsdmRef", "AsdmDiskName")},
    leaves={
        **{f"ProjectSummary/{name}": REFUSED for name in SUMMARY_OF_ALMA},
        **{f"{place}/{name}": REFUSED for place in (STRUCTURE, OLD_STRUCTURE) for name in TITLES},
        f"{BLOCK}/RelativePath": REFUSED,
        **dict.fromkeys(
            (f"{BLOCK}/AsdmIdentifier/AsdmDiskName", f"{BLOCK}/AsdmIdentifier/AsdmRef/ExecBlockId"),
            "the pipeline would silently drop this ASDM and all later ones",
        ),
    },
    data=_alma_data,
    stages=_alma_stages,
)
