"""``casa_pipescript.py`` and ``casa_piperestorescript.py``: a run, and the restore of its calibration, as scripts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sandbox.pipeline import restore
from sandbox.pipeline.casa_calls import as_python
from sandbox.pipeline.ppr import ProcessingRequest

_SCRIPT = '''\
"""Runs the stages of this pipeline run again: casa --nogui -c casa_pipescript.py

Started in an empty working directory, with the SDM in ../rawdata and the pipeline's folder in SCIPIPE_HEURISTICS.
"""

import os
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.environ["SCIPIPE_HEURISTICS"], "..", "..")))

from sandbox.pipeline.executor import run_script

run_script(
    {procedure!r},
    {sdm!r},
    [
{commands}
    ],{mous}
)
'''

_RESTORE = """

# Restores this calibration: casa --nogui --pipeline -c casa_piperestorescript.py
#
# The observatory's script needs --pipeline, because it calls pipeline tasks; this one needs nothing but CASA.
# Started in an empty working directory, with the SDM in ../rawdata, and manifest, calibration tables, flag versions and
# apply list beside it or in ../products.
if __name__ == "__main__":
    import sys

    rawdata = Path("../rawdata")
    try:
        found = find_products(rawdata if list(rawdata.glob(MANIFEST)) else Path("../products"))
        restore(rawdata, found, ocorr_mode={ocorr_mode!r})
    except RestoreError as error:
        sys.exit(str(error))
{weighting}    print(found.vis)
"""
_WEIGHTING = """\
    # The weights are in none of the products: they follow from the calibrated data, as they did then.
    import casatasks

"""


def pipeline_script(request: ProcessingRequest) -> str:
    """Return the script that runs what a PPR names.

    Args:
        request: the PPR.
    """
    commands = "\n".join(f"        ({command.task!r}, {command.parameters!r})," for command in request.commands)
    return _SCRIPT.format(
        procedure=request.procedure,
        sdm=list(request.sdms) if request.ous else request.sdms[0],
        commands=commands,
        mous=f"\n    ous={request.ous!r},\n    sessions={dict(request.sessions)!r}," if request.ous else "",
    )


def restore_script(weighted: Iterable[dict[str, object]], *, ocorr_mode: str) -> str:
    """Return the script that restores a calibration, and needs nothing but CASA.

    Args:
        weighted: the calls that set the weights, as arguments of ``statwt``.
        ocorr_mode: the correlations that were imported, in CASA's words.
    """
    calls = "".join(f"    casatasks.{as_python('statwt', call)}\n" for call in weighted)
    return Path(restore.__file__).read_text(encoding="utf-8") + _RESTORE.format(
        ocorr_mode=ocorr_mode, weighting=f"{_WEIGHTING}{calls}" if calls else ""
    )
