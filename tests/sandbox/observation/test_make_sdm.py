"""The SDM, made with real CASA from real data."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from tests.sandbox.pipeline.running import CASA_PYTHON, REPOSITORY, ask_casa

pytestmark = pytest.mark.casa

_SCRIPT = REPOSITORY / "include" / "sandbox" / "observation" / "make_sdm.py"


def make(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [CASA_PYTHON, _SCRIPT, out, *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def digests(sdm: Path) -> dict[str, str]:
    files = sorted(path for path in sdm.rglob("*") if path.is_file())
    return {str(path.relative_to(sdm)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_data_give_the_same_bytes(sdm: Path, tmp_path: Path):
    make(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(sdm)


def test_nothing_else_is_left_beside_it(sdm: Path):
    assert list(sdm.parent.iterdir()) == [sdm]


def test_damage_is_in_the_last_three_scans_only_and_is_said(sdm: Path, damaged_sdm: Path):
    good, bad = digests(sdm), digests(damaged_sdm)
    differing = {name for name in good if good[name] != bad[name]}
    assert differing == {
        "README.txt",
        "ASDMBinary/uid___S0_X1_X18",
        "ASDMBinary/uid___S0_X1_X19",
        "ASDMBinary/uid___S0_X1_X1a",
    }
    assert "DAMAGED ON PURPOSE" in (damaged_sdm / "README.txt").read_text()
    assert "DAMAGED" not in (sdm / "README.txt").read_text()


def test_scans_intents_and_online_flags_survive_the_import(sdm: Path, tmp_path: Path):
    code = f"""
import casatools
casatasks.importasdm(asdm={str(sdm)!r}, vis="a.ms", ocorr_mode="co", savecmds=True, outfile="flags.txt")
metadata = casatools.msmetadata()
metadata.open("a.ms")
scans = [[metadata.fieldsforscan(n).tolist(), sorted(metadata.intentsforscan(n))] for n in metadata.scannumbers()]
names = metadata.antennanames()
metadata.done()
print(json.dumps([scans, names, open("flags.txt").read()]))
"""
    scans, antennas, flags = ask_casa(tmp_path, code)
    assert [fields for fields, _ in scans] == [[0], [1], [2], [1], [1], [2], [1]]
    assert scans[0][1] == ["CALIBRATE_BANDPASS#ON_SOURCE", "CALIBRATE_FLUX#ON_SOURCE"]
    assert scans[1][1] == ["CALIBRATE_AMPLI#ON_SOURCE", "CALIBRATE_PHASE#ON_SOURCE"]
    assert scans[2][1] == ["OBSERVE_TARGET#ON_SOURCE"]
    assert len(antennas) == 27
    assert "ea23" not in antennas
    assert "antenna='ea04&&*'" in flags
    assert "reason='ANTENNA_NOT_ON_SOURCE'" in flags
    assert "antenna='ea08&&*'" in flags


def test_visibilities_are_those_that_were_observed(sdm: Path, tmp_path: Path):
    code = f"""
import os
import casadata
import numpy as np
from sandbox.pipeline.tables import open_table
casatasks.importuvfits(fitsfile=os.path.join(casadata.datapath, "demo/NGC5921.fits"), vis="old.ms")
casatasks.importasdm(asdm={str(sdm)!r}, vis="new.ms", ocorr_mode="co")
sums = []
for vis, skipped in (("old.ms", 1), ("new.ms", 0)):
    with open_table(vis) as table:
        times = np.unique(table.getcol("TIME"))
        kept = (table.getcol("TIME") >= times[skipped]) & (table.getcol("ANTENNA1") != table.getcol("ANTENNA2"))
        data = np.abs(table.getcol("DATA")[:, :, kept])
    sums.append([int(data.size), float(data.sum(dtype=float)), float(data.max())])
print(json.dumps(sums))
"""
    old, new = ask_casa(tmp_path, code)
    assert old[0] == new[0]
    assert new[1:] == pytest.approx(old[1:], rel=1e-6)


def test_existing_directory_is_refused(tmp_path: Path):
    (tmp_path / "there").mkdir()
    refused = make(tmp_path / "there")
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
