"""Makes the sandbox's simulated ALMA observation: ``python make_mous.py OUT``, with CASA's Python."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from sandbox.alma_observation.build import main

    main()
