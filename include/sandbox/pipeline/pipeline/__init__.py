"""What `import pipeline` finds when the pipeline's folder is on Python's path: the package, with its version."""

from __future__ import annotations

import sys
from pathlib import Path

# include/, in which the sandbox is.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from sandbox.pipeline import context

revision = context.PIPELINE_VERSION
