"""Makes the SDM of the sandbox's observation: ``python make_sdm.py OUT [--damaged]``, with CASA's Python."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from sandbox.observation.build import main

    main()
