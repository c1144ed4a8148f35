"""The files that the observatory's own pipeline left, see ``tests/data/real_run/README.md``."""

from __future__ import annotations

from pathlib import Path

REAL_RUN = Path(__file__).parent / "data" / "real_run"
REAL_EB = "NGC5921.sb79840995.eb69033034.49820.38836808734"
REAL_MOUS = "uid___A001_Xbad5ee95_X2cc5"
#: Logs of CASA: a whole run (the lines that matter), and the ends of runs in which a stage failed.
LOG = REAL_RUN / "vla" / "casa_log_skeleton.txt"
LOG_OF_A_FAILED_VLA_STAGE = REAL_RUN / "casa_log_of_a_failed_stage_vla.txt"
LOG_OF_A_FAILED_ALMA_STAGE = REAL_RUN / "casa_log_of_a_failed_stage_alma.txt"
#: What the VLA run's log says that it ran.
VLA_STAGES = (
    "hifv_importdata", "hifv_flagdata", "hifv_vlasetjy", "hifv_priorcals", "hifv_testBPdcals", "hifv_checkflag",
    "hifv_semiFinalBPdcals", "hifv_checkflag", "hifv_solint", "hifv_fluxboot", "hifv_finalcals", "hifv_applycals",
    "hifv_checkflag", "hifv_statwt", "hifv_plotsummary", "hif_makeimlist", "hif_makeimages", "hifv_exportdata",
)  # fmt: skip


def log_until(words: str) -> str:
    """Return the real log of a VLA run up to and with the line that says so."""
    before, found, _ = LOG.read_text().partition(words)
    assert found
    return f"{before}{words}\n"


def log_of_a_failed_stage() -> str:
    """Return a whole log, in the real shape, of a VLA run whose second ``hifv_checkflag`` of three fails."""
    failed = LOG_OF_A_FAILED_ALMA_STAGE.read_text().replace("hifa_restoredata", "hifv_checkflag")
    return log_until("hifv_checkflag(checkflagmode='allcals-vla')") + failed
