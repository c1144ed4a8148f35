"""The engines that the contract is tried on: the local one, and real batch systems where they can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.condor_pool import Pool
from tests.slurm_server import SlurmServer
from tests.srdp.engines.contract.sites import Site, condor_engine, slurm_engine

from srdp.engines.local import LocalEngine


def local_site(folder: Path, _request: pytest.FixtureRequest) -> Site:
    return Site(folder, lambda: LocalEngine(grace_seconds=0.5, record_seconds=1.0))


def slurm_site(folder: Path, request: pytest.FixtureRequest) -> Site:
    server: SlurmServer = request.getfixturevalue("slurm")

    def start() -> None:
        server.revive()

    return Site(folder, slurm_engine, lambda: server.kill("slurmctld"), start, server.settle)


def condor_site(_folder: Path, request: pytest.FixtureRequest) -> Site:
    pool: Pool = request.getfixturevalue("condor")
    asked = ("condor_schedd", "condor_collector")
    # The node has the pool's folder, and no other of the test's.
    return Site(
        pool.new_folder() / "world", lambda: condor_engine(pool), lambda: pool.stop(*asked),
        lambda: pool.go_on(*asked), seconds=180.0,
    )  # fmt: skip


SITES = {"local": local_site, "slurm": slurm_site, "htcondor": condor_site}


@pytest.fixture(
    params=[
        pytest.param("local", marks=pytest.mark.servers),
        pytest.param("slurm", marks=pytest.mark.team),
        pytest.param("htcondor", marks=pytest.mark.team),
    ]
)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A job's world on each engine."""
    made = SITES[request.param](tmp_path / "world", request)
    yield made
    made.cancel("the test is over")
