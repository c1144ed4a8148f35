"""Observing: makes the data of an execution block or a MOUS and ingests them, as telescope and archive would."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.alma_observation.observe import ObservedMous
from sandbox.alma_observation.observe import observe_mous as ingest_mous
from sandbox.observe import ObservedBlock, observe
from sandbox.ports import LOOPBACK
from sandbox.privileges import without_capabilities
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
    sdm = _made(
        instance,
        "damaged" if damaged else "undamaged",
        script="observation/make_sdm.py",
        options=("--damaged",) if damaged else (),
        what="an SDM of the VLA's observation of NGC 5921 on 13 April 1995",
        tell=tell,
    )
    tell("Ingesting ...")
    yield from observe(
        archive=instance.postgres.url(ARCHIVE), ngas=f"http://{LOOPBACK}:{instance.ports.ngas}", sdm=sdm, count=count
    )


def observe_mous(instance: Instance, *, count: int = 1, tell: Callable[[str], None]) -> Iterator[ObservedMous]:
    """Ingests simulated MOUSs with their calibrations, and yields each when the archive shows it.

    Args:
        instance: the observatory, which must be up.
        count: how many; each has UIDs of its own.
        tell: where progress goes.

    Raises:
        SrdpError: one could not be made or ingested; the sentence says why.
    """
    made = _made(
        instance,
        "mous",
        script="alma_observation/make_mous.py",
        what="a simulated observation with ALMA, and its calibration",
        tell=tell,
    )
    tell("Ingesting ...")
    yield from ingest_mous(
        archive=instance.postgres.url(ARCHIVE), ngas=f"http://{LOOPBACK}:{instance.ports.ngas}", made=made, count=count
    )


def _made(
    instance: Instance, name: str, *, script: str, what: str, tell: Callable[[str], None], options: tuple[str, ...] = ()
) -> Path:
    """The directory that a script makes with CASA; it is made at the first call."""
    made = instance.places.observatory / name
    if made.is_dir():
        return made
    started = time.monotonic()
    tell(f"Making {what}, with CASA ...")
    python = os.environ.get("SRDP_CASA_PYTHON") or str(HOME / ".venv-casa" / "bin" / "python")
    done = subprocess.run(
        [*without_capabilities(), python, "-P", str(HOME / "include" / "sandbox" / script), str(made), *options],
        env=instance.environment(),
        cwd=instance.places.observatory,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceUnavailable(f"CASA could not make {what}: {done.stderr.strip()[-1500:] or 'it said nothing'}")
    (readme,) = made.rglob("README.txt")
    tell(f"  made in {time.monotonic() - started:.0f} s; what in it is not as observed stands in {readme}.")
    return made
