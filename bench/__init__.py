"""The project's figures against fair rivals: ``python -m bench``; see ``docs/benchmarks.md``."""

from __future__ import annotations

import sys
from pathlib import Path

#: The project's own folder.
ROOT = Path(__file__).resolve().parents[1]

for _folder in ("include", "plugins"):
    if str(ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(ROOT / _folder))
