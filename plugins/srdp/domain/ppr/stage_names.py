"""The names of the stages of the CASA pipeline, by which a misspelt one is found before it has cost a day.

A stage whose name the pipeline does not have stops it there. The names are those of the pipeline's releases up to 2026;
a later release may have more, so that a name that is not here is no error by itself.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = {
    "h": """
        applycal export_calstate exportdata import_calstate importdata init mssplit restoredata resume save
        show_calstate tsyscal weblog
    """,
    "hif": """
        analyzealpha antpos applycal bandpass checkproductsize correctedampflag editimlist findcont findroi gaincal
        lowgainflag makecutoutimages makeimages makeimlist makermsimages mstransform polarization rawflagchans refant
        selfcal setjy setmodels transformimagedata uvcontfit uvcontsub
    """,
    "hifa": """
        antpos bandpass bandpassflag bpsolint diffgaincal exportdata findroi flagdata flagtargets fluxcalflag gaincalsnr
        gfluxscale gfluxscaleflag imageprecheck importdata lock_refant polcal polcalflag polrefant renorm restoredata
        session_bandpass session_refant spwphaseup targetflag timegaincal tsysflag tsysflagcontamination unlock_refant
        wvrgcal wvrgcalflag
    """,
    "hifas": "imageprecheck",
    "hifv": """
        analyzestokescubes applycals checkflag circfeedpolcal exportdata exportvlassdata finalcals
        fixpointing flagbaddef flagcal flagdata flagtargetsdata fluxboot fluxboot2 gaincurves hanning importdata
        mstransform opcal pbcor plotsummary priorcals restoredata restorepims rqcal selfcal semiFinalBPdcals solint
        statwt swpowcal syspower targetflag tecmaps testBPdcals vlasetjy vlassmasking
    """,
}
#: What the names of the pipeline's own stages begin with.
PREFIXES: Final = tuple(f"{prefix}_" for prefix in _NAMES)
#: All of them.
STAGES: Final = frozenset(f"{prefix}_{name}" for prefix, names in _NAMES.items() for name in names.split())


def meant_stage(name: str) -> str | None:
    """Return the stage that a name was meant for if it is the misspelt name of one, else None.

    Args:
        name: what somebody wrote.
    """
    if name in STAGES:
        return None
    return next((stage for stage in sorted(STAGES) if is_misspelt(stage, name)), None)


def is_misspelt(right: str, written: str) -> bool:
    """Return whether two names differ by their case alone, or by one letter that is wrong, missing, doubled or moved.

    Args:
        right: the name that there is.
        written: what somebody wrote.
    """
    if right == written:
        return False
    if right.lower() == written.lower():
        return True
    if written[-1:].isdigit() and right[-1:] != written[-1:]:
        return False  # the next of its kind, not a slip
    shorter, longer = sorted((right, written), key=len)
    if len(longer) - len(shorter) > 1 or len(shorter) < 4:
        return False
    at = next(
        (place for place, (one, other) in enumerate(zip(shorter, longer, strict=False)) if one != other), len(shorter)
    )
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    swapped = longer[at + 1 : at + 2] + longer[at : at + 1] + longer[at + 2 :]
    return shorter[at + 1 :] == longer[at + 1 :] or shorter[at:] == swapped
