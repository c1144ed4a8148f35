"""Runs an ALMA PPR: ``casa --nogui --nologger --agg -c $SCIPIPE_HEURISTICS/pipeline/runpipeline.py PPR.xml``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from sandbox.pipeline.executor import execute
from sandbox.pipeline.ppr import read_alma_request
from sandbox.pipeline.stages import ALMA_STAGES
from sandbox.pipeline.stages.export import export_failure

if __name__ == "__main__":
    execute(Path(sys.argv[1]), ALMA_STAGES, read=read_alma_request, on_failure=export_failure)
