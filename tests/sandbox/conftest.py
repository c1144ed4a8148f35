"""The sandbox's observations, made with CASA once a test session."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.sandbox.pipeline.running import CASA_PYTHON, EXECUTION_BLOCK, REPOSITORY

_MAKE_MOUS = REPOSITORY / "include" / "sandbox" / "alma_observation" / "make_mous.py"
_MAKE_SDM = REPOSITORY / "include" / "sandbox" / "observation" / "make_sdm.py"


def _make(directory: Path, *options: str) -> Path:
    out = directory / EXECUTION_BLOCK
    subprocess.run([CASA_PYTHON, _MAKE_SDM, out, *options], check=True, capture_output=True, timeout=300)
    return out


@pytest.fixture(scope="session")
def sdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The good observation."""
    return _make(tmp_path_factory.mktemp("sdm"))


@pytest.fixture(scope="session")
def damaged_sdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The observation with the damaged antenna."""
    return _make(tmp_path_factory.mktemp("damaged-sdm"), "--damaged")


@pytest.fixture(scope="session")
def made_mous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated MOUS: its ASDM and the products of its calibration, as they are to be in `rawdata/`."""
    return _make_mous(tmp_path_factory.mktemp("mous"))


@pytest.fixture(scope="session")
def made_mous_of_two_sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, observed in a second session too: two ASDMs."""
    return _make_mous(tmp_path_factory.mktemp("two-sessions"), "--sessions", "2")


def _make_mous(directory: Path, *options: str) -> Path:
    out = directory / "made"
    subprocess.run([CASA_PYTHON, _MAKE_MOUS, out, *options], check=True, capture_output=True, timeout=300)
    return out
