"""The stages of the recipes, by the names of their tasks. Another recipe is another dictionary."""

from __future__ import annotations

from sandbox.pipeline.context import Stage
from sandbox.pipeline.stages import (
    calibration,
    export,
    findcont,
    flagging,
    fluxscale,
    imaging,
    importdata,
    prechecks,
    priors,
    restoredata,
    selfcal,
    summary,
    target_data,
    target_imaging,
)

#: What a VLA PPR can name.
VLA_STAGES: dict[str, Stage] = {
    "hifv_importdata": importdata.hifv_importdata,
    "hifv_restoredata": restoredata.hifv_restoredata,
    "hifv_hanning": importdata.hifv_hanning,
    "hifv_flagdata": flagging.hifv_flagdata,
    "hifv_vlasetjy": fluxscale.hifv_vlasetjy,
    "hifv_priorcals": priors.hifv_priorcals,
    "hif_antpos": priors.hif_antpos,
    "hifv_syspower": priors.hifv_syspower,
    "hifv_testBPdcals": calibration.hifv_testbpdcals,
    "hifv_checkflag": flagging.hifv_checkflag,
    "hifv_semiFinalBPdcals": calibration.hifv_semifinalbpdcals,
    "hifv_solint": calibration.hifv_solint,
    "hifv_fluxboot": fluxscale.hifv_fluxboot,
    "hifv_finalcals": calibration.hifv_finalcals,
    "hifv_applycals": calibration.hifv_applycals,
    "hifv_statwt": calibration.hifv_statwt,
    "hifv_plotsummary": summary.hifv_plotsummary,
    "hif_makeimlist": imaging.hif_makeimlist,
    "hif_makeimages": imaging.hif_makeimages,
    "hifv_exportdata": export.hifv_exportdata,
}

#: What an ALMA PPR can name.
ALMA_STAGES: dict[str, Stage] = {
    "hifa_importdata": importdata.hifa_importdata,
    "hifa_restoredata": restoredata.hifa_restoredata,
    "hif_mstransform": target_data.hif_mstransform,
    "hifa_flagtargets": target_data.hifa_flagtargets,
    "hifa_imageprecheck": prechecks.hifa_imageprecheck,
    "hif_checkproductsize": prechecks.hif_checkproductsize,
    "hif_findcont": findcont.hif_findcont,
    "hif_uvcontsub": target_data.hif_uvcontsub,
    "hif_selfcal": selfcal.hif_selfcal,
    "hif_makeimlist": target_imaging.hif_makeimlist,
    "hif_editimlist": target_imaging.hif_editimlist,
    "hif_makeimages": target_imaging.hif_makeimages,
    "hifa_exportdata": export.hifa_exportdata,
}
