"""The products of the calibration, under other names; without CASA."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from tests.sandbox.alma_observation.making import ASDM, ASDMS, MOUS, make_mous

from sandbox.alma_observation.products import read_made
from srdp.domain.casa.manifest import read_manifest
from srdp.domain.common.errors import InvalidInput

OTHER_MOUS, OTHER_ASDM = "uid___A001_X9_Xa", "uid___A002_Xbeef_X123456"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make_mous(tmp_path / "made")


def test_what_was_made_is_read(made: Path):
    mous = read_made(made)
    assert (mous.asdms, mous.name, mous.manifest.casa_version) == ((made / ASDM,), MOUS, "6.7.0.31")
    assert mous.products == {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}


def test_every_name_becomes_another_outside_and_inside(made: Path):
    renamed = read_made(made).products_named(mous=OTHER_MOUS, asdms=[OTHER_ASDM])
    names = sorted(path.name for path in made.iterdir() if path.is_file())
    assert sorted(renamed) == sorted(name.replace(MOUS, OTHER_MOUS).replace(ASDM, OTHER_ASDM) for name in names)
    manifest = read_manifest(renamed[f"{OTHER_MOUS}.hifa_calimage.pipeline_manifest.xml"], "manifest")
    assert {product.name for product in manifest.products} < set(renamed)
    with tarfile.open(fileobj=io.BytesIO(renamed[f"{OTHER_MOUS}.session_1.caltables.tgz"])) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    # What the tables hold stays as it is.
    assert members == {f"{OTHER_ASDM}.ms.bcal.tbl/table.dat": f"of {ASDM}.ms".encode(), f"{OTHER_ASDM}.ms.lock": b""}
    assert renamed[f"{OTHER_ASDM}.ms.calapply.txt"] == f"applycal(vis='{OTHER_ASDM}.ms')\n".encode()


def test_of_two_sessions_each_keeps_its_own_asdm(tmp_path: Path):
    two = read_made(make_mous(tmp_path / "two", sessions=2))
    assert [asdm.name for asdm in two.asdms] == list(ASDMS)
    others = (OTHER_ASDM, f"{OTHER_ASDM}7")
    renamed = two.products_named(mous=OTHER_MOUS, asdms=others)
    manifest = read_manifest(renamed[f"{OTHER_MOUS}.hifa_calimage.pipeline_manifest.xml"], "manifest")
    assert manifest.sessions == {f"{asdm}.ms": f"session_{number}" for number, asdm in enumerate(others, start=1)}
    assert {product.name for product in manifest.products} < set(renamed)
    for number, asdm in enumerate(others, start=1):
        with tarfile.open(fileobj=io.BytesIO(renamed[f"{OTHER_MOUS}.session_{number}.caltables.tgz"])) as tar:
            assert f"{asdm}.ms.bcal.tbl/table.dat" in tar.getnames()


@pytest.mark.parametrize("missing", [ASDM, f"{MOUS}.hifa_calimage.pipeline_manifest.xml"])
def test_a_directory_that_was_not_made_so_is_refused(made: Path, missing: str):
    (made / missing).rename(made.parent / "elsewhere")
    with pytest.raises(InvalidInput, match=r"must hold ASDMs and one .* give the directory that make_mous\.py made"):
        read_made(made)


def test_a_product_that_the_manifest_names_must_be_there(made: Path):
    (made / f"{ASDM}.ms.calapply.txt").unlink()
    with pytest.raises(InvalidInput, match=r"holds no .*calapply\.txt"):
        read_made(made)
