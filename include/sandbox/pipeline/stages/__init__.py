"""The stages of the recipes, by the names of their tasks. Another recipe is another dictionary."""

from __future__ import annotations

from sandbox.pipeline.context import Stage
from sandbox.pipeline.stages import (
    calibration,
    export,
    flagging,
    fluxscale,
    imaging,
    importdata,
    priors,
    restoredata,
    summary,
)

#: What a VLA PPR can name.
VLA_STAGES: dict[str, Stage] = {
    "hifv_importdata": importdata.hifv_importdata,
    "hifv_restoredata": restoredata.hifv_restoredata,
    "hifv_hanning": importdata.hifv_hanning,
    "hifv_flagdata": flagging.hifv_flagdata,
    "hifv_vlasetjy": fluxscale.hifv_vlasetjy,
    "hifv_priorcals": priors.hifv_priorcals,
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
