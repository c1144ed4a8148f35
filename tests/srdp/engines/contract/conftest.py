"""The engines that the contract is tried on: the local one, and real batch systems where they can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.slurm_server import SlurmServer
from tests.srdp.engines.contract.sites import Site, slurm_engine

from srdp.engines.local import LocalEngine


def local_site(folder: Path, _request: pytest.FixtureRequest) -> Site:
    return Site(folder, lambda: LocalEngine(grace_seconds=0.5, record_seconds=1.0))


def slurm_site(folder: Path, request: pytest.FixtureRequest) -> Site:
    server: SlurmServer = request.getfixturevalue("slurm")

    def start() -> None:
        server.revive()

    return Site(folder, slurm_engine, lambda: server.kill("slurmctld"), start, server.settle)


SITES = {"local": local_site, "slurm": slurm_site}


@pytest.fixture(
    params=[
        pytest.param("local", marks=pytest.mark.servers),
        pytest.param("slurm", marks=pytest.mark.team),
    ]
)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A job's world on each engine."""
    made = SITES[request.param](tmp_path / "world", request)
    yield made
    made.cancel("the test is over")
