"""Observing: makes the SDM of an execution block and ingests it, as the telescope and its archive would."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.observe import ObservedBlock, observe
from sandbox.ports import LOOPBACK
from sandbox.stack.environment import ARCHIVE
from sandbox.stack.instance import HOME, Instance
from srdp.domain.errors import ServiceUnavailable


def observe_blocks(
    instance: Instance, *, count: int = 1, damaged: bool = False, tell: Callable[[str], None]
) -> Iterator[ObservedBlock]:
    """Ingests observations, and yields each when the archive shows it: with a name and a locator of its own.

    Args:
        instance: the observatory, which must be up.
        count: how many.
        damaged: the one whose antenna ea12 is damaged in its second half.
        tell: where progress goes.

    Raises:
        SrdpError: one could not be made or ingested; the sentence says why.
    """
    sdm = _science_data_model(instance, damaged=damaged, tell=tell)
    tell("Ingesting ...")
    yield from observe(
        archive=instance.postgres.url(ARCHIVE), ngas=f"http://{LOOPBACK}:{instance.ports.ngas}", sdm=sdm, count=count
    )


def _science_data_model(instance: Instance, *, damaged: bool, tell: Callable[[str], None]) -> Path:
    """The SDM made of real data; made with CASA at the first call."""
    sdm = instance.places.observatory / ("damaged" if damaged else "undamaged")
    if sdm.is_dir():
        return sdm
    started = time.monotonic()
    tell("Making an SDM of the VLA's observation of NGC 5921 on 13 April 1995, with CASA ...")
    python = os.environ.get("SRDP_CASA_PYTHON") or str(HOME / ".venv-casa" / "bin" / "python")
    script = HOME / "include" / "sandbox" / "observation" / "make_sdm.py"
    done = subprocess.run(
        [python, "-P", str(script), str(sdm), *(("--damaged",) if damaged else ())],
        env=instance.environment(),
        cwd=instance.places.observatory,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceUnavailable(f"The SDM could not be made: {done.stderr.strip()[-1500:] or 'CASA said nothing'}")
    tell(f"  made in {time.monotonic() - started:.0f} s; what was edited in the real data stands in {sdm}/README.txt.")
    return sdm
