"""Runs a VLA PPR: ``casa --nogui --nologger --agg -c $SCIPIPE_HEURISTICS/pipeline/runvlapipeline.py PPR.xml``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from sandbox.pipeline.executor import execute
from sandbox.pipeline.stages import VLA_STAGES

if __name__ == "__main__":
    execute(Path(sys.argv[1]), VLA_STAGES)
