"""Making an observation: with CASA, in an environment of its own, once in each folder of the observatory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.privileges import without_capabilities
from srdp.domain.common.errors import ServiceUnavailable

_HOME = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Made:
    """What can be made.

    Attributes:
        name: of its directory in the observatory's folder.
        script: what makes it, below ``include/sandbox``.
        what: what it is, for people.
        options: of the script.
    """

    name: str
    script: str
    what: str
    options: tuple[str, ...] = ()


_NGC5921 = "an SDM of the VLA's observation of NGC 5921 on 13 April 1995"
UNDAMAGED = Made("undamaged", "observation/make_sdm.py", _NGC5921)
#: The one whose antenna ea12 is damaged in its second half.
DAMAGED = Made("damaged", "observation/make_sdm.py", _NGC5921, ("--damaged",))
MOUS = Made("mous", "alma_observation/make_mous.py", "a simulated observation with ALMA, and its calibration")


def make(observation: Made, folder: Path, *, environment: Mapping[str, str], report: Callable[[str], None]) -> Path:
    """Return the directory of an observation, which is made at the first call.

    Args:
        observation: which one.
        folder: the observatory's folder of observations.
        environment: what CASA finds in its environment.
        report: where progress goes, a line a call.

    Raises:
        ServiceUnavailable: CASA could not make it; the sentence has the end of its output.
    """
    made = folder / observation.name
    if made.is_dir():
        return made
    started = time.monotonic()
    report(f"Making {observation.what}, with CASA ...")
    python = os.environ.get("SRDP_CASA_PYTHON") or str(_HOME / ".venv-casa" / "bin" / "python")
    script = _HOME / "include" / "sandbox" / observation.script
    done = subprocess.run(
        [*without_capabilities(), python, "-P", str(script), str(made), *observation.options],
        env=dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        output = done.stderr.strip()[-1500:] or "it said nothing"
        raise ServiceUnavailable(f"CASA could not make {observation.what}: {output}")
    (readme,) = made.rglob("README.txt")
    report(f"  made in {time.monotonic() - started:.0f} s; what in it is not as observed stands in {readme}.")
    return made
