"""Stages and parameters of the pipeline's standard recipes, as its releases of 2021 to 2026 have them.

They are facts, written down in a notation of our own: a stage a line, its parameters behind ``;``. A PPR is made of
them by :func:`with_recipe`, in the form that the observatory's own request maker gives it: ``xmlns=""`` at the texts,
comments between stages, an empty ``ParameterSet`` with a line end in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_INTENTS = (
    "*POINTING*,*FOCUS*,*ATMOSPHERE*,*SIDEBAND_RATIO*, *UNKNOWN*, *SYSTEM_CONFIGURATION*, *UNSPECIFIED#UNSPECIFIED*"
)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _images(*lists: str) -> tuple[str, ...]:
    """What lists images, and the stage that makes them, for each."""
    return tuple(line for each in lists for line in (f"hif_makeimlist; {each}".rstrip("; "), "hif_makeimages"))


# --- VLA ----------------------------------------------------------------------------------------------------------

_VLA_CALIBRATION = _lines(f"""
    hifv_importdata
    hifv_hanning
    hifv_flagdata; hm_tbuff=1.5int; fracspw=0.01; intents={_INTENTS}
    hifv_vlasetjy
    hifv_priorcals
    hifv_syspower
    hifv_testBPdcals
    hifv_checkflag; checkflagmode=bpd-vla
    hifv_semiFinalBPdcals
    hifv_checkflag; checkflagmode=allcals-vla
    hifv_solint
    hifv_fluxboot
    hifv_finalcals
    hifv_applycals
    hifv_checkflag; checkflagmode=target-vla
    hifv_statwt
    hifv_plotsummary
    hif_makeimlist; intent=PHASE,BANDPASS; specmode=cont
    hif_makeimages; hm_masking=centralregion
    hifv_exportdata
""")
_VLASS_CALIBRATION = _lines(f"""
    hifv_importdata
    hifv_hanning
    hifv_flagdata; intents={_INTENTS}; flagbackup=False; scan=True; baseband=False; clip=True; autocorr=True; \
hm_tbuff=manual; template=True; online=True; tbuff=0.225; fracspw=0.0; shadow=True; quack=False; edgespw=False
    hifv_vlasetjy
    hifv_priorcals; tecmaps=False; swpow_spw=6,14
    hifv_testBPdcals; doflagundernspwlimit=False
    hifv_checkflag; checkflagmode=bpd-vlass
    hifv_semiFinalBPdcals
    hifv_checkflag; checkflagmode=allcals-vlass
    hifv_solint; limit_short_solint=0.45
    hifv_fluxboot2; fitorder=2
    hifv_finalcals
    hifv_circfeedpolcal
    hifv_flagcal
    hifv_applycals; flagsum=False; flagdetailedsum=False; gainmap=True
    hifv_checkflag; checkflagmode=target-vlass
    hifv_statwt
    hifv_plotsummary
    hifv_exportdata; gainmap=True; exportmses=False; exportcalprods=True
""")
_SIZE = "hif_checkproductsize; maximsize=16384"
_CUBE_SIZE = "hif_checkproductsize; maxproductsize=100.0; maxcubesize=20.0; maxcubelimit=40.0"
_MAKE = "hif_makeimages; hm_cyclefactor=3.0"
_CONTINUUM = (_SIZE, "hif_makeimlist; specmode=cont", _MAKE)
_CUBES = (
    *(_CUBE_SIZE, "hif_makeimlist; specmode=mfs", "hif_findcont", "hif_uvcontsub"),
    *("hif_makeimlist; specmode=cube", "hif_makeimages"),
)
_SELF_CALIBRATED = (
    *(_SIZE, "hif_selfcal", "hif_makeimlist; specmode=cont; datatype=selfcal", _MAKE),
    *(_CUBE_SIZE, "hif_makeimlist; specmode=cube; datatype=selfcal", "hif_makeimages"),
)
_SELF_CALIBRATED_CONTINUUM = (
    *("hifv_mstransform; omit_contline_ms=True", "hifv_flagtargetsdata", _SIZE),
    *("hif_makeimlist; specmode=cont; datatype=regcal", _MAKE, "hif_selfcal"),
    *("hif_makeimlist; specmode=cont; datatype=selfcal", _MAKE),
)
_VLA_EXPORT, _VLA_IMAGES_ONLY = "hifv_exportdata", "hifv_exportdata; imaging_products_only=True"
_CALIBRATED = "hifv_importdata; datacolumns={'data':'raw','corrected':'regcal_contline_all'}"

VLA_RECIPES: Mapping[str, Sequence[str]] = {
    "hifv": _VLA_CALIBRATION,
    "hifv_calvlass": _VLASS_CALIBRATION,
    "hifv_cal_spectral_lines": _VLA_CALIBRATION,
    "hifv_calimage_cont": (*_VLA_CALIBRATION, "breakpoint", "hif_mstransform", *_CONTINUUM, _VLA_EXPORT),
    "hifv_calimage_cont_selfcal": (*_VLA_CALIBRATION, *_SELF_CALIBRATED_CONTINUUM, _VLA_EXPORT),
    "hifv_calimage_cont_cube": (
        *(*_VLA_CALIBRATION, "hifv_mstransform", *_CONTINUUM, *_CUBES, "hifv_pbcor", _VLA_EXPORT),
    ),
    "hifv_calimage_cont_cube_selfcal": (
        *(*_VLA_CALIBRATION, "hifv_mstransform", "hifv_flagtargetsdata", *_CONTINUUM, *_CUBES, *_SELF_CALIBRATED),
        *("hifv_pbcor", _VLA_EXPORT),
    ),
    "hifv_contimage": (
        *("hifv_restoredata; copytoraw=False", "hif_mstransform", _SIZE, "hif_makeimlist; specmode=cont"),
        *("hif_makeimages; hm_masking=none; hm_cyclefactor=3.0", _VLA_IMAGES_ONLY),
    ),
    "hifv_contimage_selfcal": ("hifv_importdata", *_SELF_CALIBRATED_CONTINUUM, "hifv_pbcor", _VLA_IMAGES_ONLY),
    "hifv_cont_cube_image": (*(_CALIBRATED, "hifv_mstransform", *_CONTINUUM, *_CUBES, "hifv_pbcor", _VLA_IMAGES_ONLY),),
    "hifv_cont_cube_image_selfcal": (
        *(_CALIBRATED, "hifv_mstransform", *_CONTINUUM, *_CUBES, *_SELF_CALIBRATED, "hifv_pbcor", _VLA_IMAGES_ONLY),
    ),
    "hifv_spectral_lines_selfcal": (
        *(*_VLA_CALIBRATION, "breakpoint", "hifv_mstransform", *_CONTINUUM, *_CUBES, *_SELF_CALIBRATED),
        *("hifv_pbcor", _VLA_EXPORT),
    ),
}

# --- ALMA ---------------------------------------------------------------------------------------------------------

_IMPORT, _ALMA_EXPORT = "hifa_importdata; dbservice=True", "hifa_exportdata"
_FLAGS = _lines("""
    hifa_flagdata
    hifa_fluxcalflag
    hif_rawflagchans
    hif_refant
    h_tsyscal
    hifa_tsysflag
    hifa_antpos
    hifa_wvrgcalflag
    hif_lowgainflag
    hif_setmodels
    hifa_bandpassflag
    hifa_bandpass
    hifa_spwphaseup
    hifa_gfluxscaleflag
""")
_APPLY = ("hifa_targetflag", "hif_applycal")
_CALIBRATORS = _images("intent=PHASE,BANDPASS,AMPLITUDE", "intent=CHECK; per_eb=True")
_DIFFERENTIAL = _images("intent=PHASE,BANDPASS,AMPLITUDE,DIFFGAINREF,DIFFGAINSRC", "intent=CHECK; per_eb=True")
_CHECK = ("hifa_imageprecheck", "hif_checkproductsize; maxcubesize=40.0; maxcubelimit=60.0; maxproductsize=500.0")
_OLD_CHECK = (_CHECK[0], _CHECK[1].replace("500.0", "350.0"))
_RENORM = "hifa_renorm; apply=True; atm_auto_exclude=True"
_CONTINUUM_FIRST = (
    *("hif_makeimlist; specmode=mfs", "hif_findcont", "hif_uvcontsub", "hif_makeimages"),
    *_images("specmode=cont"),
)
_TARGETS = (*_CONTINUUM_FIRST, *_images("specmode=cube", "specmode=repBW"))
_TARGETS_SELF_CALIBRATED = (
    "hif_selfcal",
    *_images(*(f"specmode={mode}; datatype=selfcal" for mode in ("cont", "cube", "repBW"))),
)
_TARGETS_BOTH = (
    *(
        *_images("specmode=repBW"),
        "hif_selfcal",
        *_images(*(f"specmode={mode}; datatype=selfcal" for mode in ("mfs", "cont"))),
    ),
    *_images("specmode=cube; datatype=best", "specmode=repBW; datatype=selfcal"),
)
_SPLIT = ("breakpoint", "hif_mstransform", "hifa_flagtargets")
_RESTORED = ("hifa_restoredata; copytoraw=False", "hif_mstransform", "hifa_flagtargets", *_CHECK)
_IMAGES_ONLY = "hifa_exportdata; imaging_products_only=True"
_GAINS = ("hifa_gfluxscale", "hifa_timegaincal")
_DIFFERENTIAL_GAINS = ("hifa_gfluxscale", "hifa_diffgaincal", "hifa_timegaincal")
_POLARIZATION = "intent=POLARIZATION,POLANGLE,POLLEAKAGE"

ALMA_RECIPES: Mapping[str, Sequence[str]] = {
    "hifa_cal": ("hifa_importdata", *_FLAGS, *_GAINS, *_APPLY, *_CALIBRATORS, *_OLD_CHECK, _ALMA_EXPORT),
    "hifa_cal_diffgain": (
        *(_IMPORT, *_FLAGS, *_DIFFERENTIAL_GAINS, "hifa_targetflag", _RENORM, "hif_applycal", *_DIFFERENTIAL),
        *(*_CHECK, _ALMA_EXPORT),
    ),
    "hifa_calsurvey": (_IMPORT, *_FLAGS, *_GAINS, _RENORM, "hif_applycal", *_CALIBRATORS, _ALMA_EXPORT),
    "hifa_calimage": (
        *(_IMPORT, *_FLAGS[:6], "hifa_tsysflagcontamination", *_FLAGS[6:], *_GAINS),
        *("hifa_renorm; createcaltable=True; atm_auto_exclude=True", *_APPLY, *_CALIBRATORS, *_CHECK, _ALMA_EXPORT),
        *(*_SPLIT, "hif_findcont", "hif_uvcontsub", *_images("specmode=mfs", "specmode=cont"), *_TARGETS_BOTH),
        _ALMA_EXPORT,
    ),
    "hifa_calimage_selfcal": (
        *(_IMPORT, *_FLAGS, *_GAINS, *_APPLY, *_CALIBRATORS, *_CHECK, _RENORM, _ALMA_EXPORT),
        *(*_SPLIT, *_TARGETS, *_TARGETS_SELF_CALIBRATED, _ALMA_EXPORT),
    ),
    "hifa_calimage_diffgain": (
        *(_IMPORT, *_FLAGS, *_DIFFERENTIAL_GAINS, *_APPLY, *_DIFFERENTIAL, *_CHECK, _RENORM, _ALMA_EXPORT),
        *(*_SPLIT, *_CONTINUUM_FIRST, *_TARGETS_BOTH, _ALMA_EXPORT),
    ),
    "hifa_image": (*_RESTORED, *_TARGETS, _IMAGES_ONLY),
    "hifa_image_selfcal": (*_RESTORED, *_TARGETS, *_TARGETS_SELF_CALIBRATED, _IMAGES_ONLY),
    "hifa_polcal": (
        *("hifa_importdata; minparang=60.0", *_FLAGS, "hifa_polcalflag", "hifa_session_refant", *_GAINS, *_APPLY),
        *(*_images("intent=PHASE,BANDPASS,AMPLITUDE,POLARIZATION", "intent=CHECK; per_eb=True"), *_OLD_CHECK),
        _ALMA_EXPORT,
    ),
    "hifa_polcalimage": (
        *("hifa_importdata; minparang=60.0; dbservice=True", *_FLAGS, "hifa_polcalflag", "hifa_session_refant"),
        *("hifa_lock_refant", "hifa_bandpass; unregister_existing=True", "hifa_spwphaseup; unregister_existing=True"),
        *(*_GAINS, *_APPLY, *_images("intent=PHASE,BANDPASS,AMPLITUDE", f"{_POLARIZATION}; per_session=True")),
        *_images(f"{_POLARIZATION}; specmode=cont; per_session=True", "intent=CHECK; per_eb=True"),
        *(*_CHECK, _RENORM, _ALMA_EXPORT, *_SPLIT, *_TARGETS, _ALMA_EXPORT),
    ),
    "hifa_polimage": (
        *(*_RESTORED, "hif_findcont", "hif_uvcontsub"),
        *_images(
            *(
                f"specmode={mode}{stokes}"
                for mode in ("mfs", "cont", "cube", "repBW")
                for stokes in ("", "; stokes=IQUV")
            )
        ),
        _IMAGES_ONLY,
    ),
}


def parsed(stage: str) -> tuple[str, dict[str, str]]:
    """Return the name of a stage and its parameters, as they are written."""
    name, *parameters = stage.split("; ")
    return name, dict(parameter.split("=", 1) for parameter in parameters)


def with_recipe(ppr: str, title: str, stages: Sequence[str]) -> str:
    """Return a PPR with another recipe in it, in the form of the observatory's request maker."""
    commands = "".join(_command(*parsed(stage)) for stage in stages)
    procedure = (
        f"<ProcessingProcedure>\n\n    <ProcedureTitle>{title}</ProcedureTitle>\n<!-- of the observatory -->\n"
        f"{commands}\n</ProcessingProcedure>"
    )
    return re.sub(r"<ProcessingProcedure>.*</ProcessingProcedure>", lambda _: procedure, ppr, flags=re.DOTALL)


def _command(name: str, parameters: Mapping[str, str]) -> str:
    listed = "".join(
        f'            <Parameter>\n                <Keyword xmlns="">{keyword}</Keyword>\n'
        f'                <Value xmlns="">{value}</Value>\n            </Parameter>\n'
        for keyword, value in parameters.items()
    )
    return (
        f'    <ProcessingCommand>\n        <Command xmlns="">{name}</Command>\n        <ParameterSet>\n{listed}'
        "        </ParameterSet>\n    </ProcessingCommand>\n\n    <!-- next -->\n"
    )
