"""Observing: makes the data of an execution block or a MOUS and ingests them, as telescope and archive would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.alma_observation.observe import ObservedMous
from sandbox.alma_observation.observe import observe_mous as ingest_mous
from sandbox.making import DAMAGED, MOUS, UNDAMAGED, Made, make
from sandbox.observe import ObservedBlock, observe
from sandbox.ports import LOOPBACK
from sandbox.stack.environment import ARCHIVE
from sandbox.stack.instance import Instance


def make_observation(instance: Instance, wanted: Made, *, report: Callable[[str], None]) -> Path:
    """Return the directory of an observation, which is made at the first call; the instance may be down.

    Args:
        instance: the observatory; when it is stopped, so is the making.
        wanted: which one.
        report: where progress goes.

    Raises:
        ServiceUnavailable: CASA could not make it; the sentence says why.
    """
    return make(wanted, instance.places.observatory, environment=instance.marked_environment(), report=report)


def observe_blocks(
    instance: Instance, *, count: int = 1, damaged: bool = False, report: Callable[[str], None]
) -> Iterator[ObservedBlock]:
    """Ingests observations, and yields each when the archive shows it: with a name and a locator of its own.

    Args:
        instance: the observatory, which must be up.
        count: how many.
        damaged: the one whose antenna ea12 is damaged in its second half.
        report: where progress goes.

    Raises:
        SrdpError: one could not be made or ingested; the sentence says why.
    """
    sdm = make_observation(instance, DAMAGED if damaged else UNDAMAGED, report=report)
    report("Ingesting ...")
    yield from observe(
        archive=instance.postgres.url(ARCHIVE), ngas=f"http://{LOOPBACK}:{instance.ports.ngas}", sdm=sdm, count=count
    )


def observe_mous(instance: Instance, *, count: int = 1, report: Callable[[str], None]) -> Iterator[ObservedMous]:
    """Ingests simulated MOUSs with their calibrations, and yields each when the archive shows it.

    Args:
        instance: the observatory, which must be up.
        count: how many; each has UIDs of its own.
        report: where progress goes.

    Raises:
        SrdpError: one could not be made or ingested; the sentence says why.
    """
    made = make_observation(instance, MOUS, report=report)
    report("Ingesting ...")
    yield from ingest_mous(
        archive=instance.postgres.url(ARCHIVE), ngas=f"http://{LOOPBACK}:{instance.ports.ngas}", made=made, count=count
    )
