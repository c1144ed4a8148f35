"""``casa_pipescript.py``: the run's stages as a script."""

from __future__ import annotations

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
    ],
)
'''


def pipeline_script(request: ProcessingRequest) -> str:
    """Returns the script that runs what a PPR names.

    Args:
        request: the PPR.
    """
    commands = "\n".join(f"        ({command.task!r}, {command.parameters!r})," for command in request.commands)
    return _SCRIPT.format(procedure=request.procedure, sdm=request.sdms[0], commands=commands)
