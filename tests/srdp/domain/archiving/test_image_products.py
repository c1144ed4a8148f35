from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.imaging import ANCILLARY, SCIENCE, WEBLOG, fill_image_directory, fits_image, image, manifest_of_images

from srdp.domain.archiving.image_products import DEFAULT_SCIENCE_PATTERNS, image_gaps, image_kind, images_of
from srdp.domain.runs.pipeline_run import RunDirectory

MOUS = "uid://A001/X1288/X3f"
PATTERNS = DEFAULT_SCIENCE_PATTERNS


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "alma-20261122-182453-4f7k")
    fill_image_directory(made, MOUS)
    return made


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((image(name), "science") for name in SCIENCE),
        *((image(name), "ancillary") for name in ANCILLARY),
        (image("J1037_ph.spw25.mfs.I.pbcor.fits"), "ancillary"),
        (image("TW_Hya_sci.spw25.cube.regcal.I.pbcor.v2.fits"), "science"),
        (image("TW_Hya_sci.spw25.cube.regcal.I.pb.v2.fits"), "ancillary"),
        ("of_an_analyst/TW_Hya_sci.pbcor.fits", "science"),
        ("of_a_sci.analyst/x.pbcor.fits", "ancillary"),
    ],
)
def test_images_are_distinguished_by_their_names(name: str, kind: str) -> None:
    assert image_kind(name, PATTERNS) == kind


def test_fits_files_are_images_except_in_the_weblog(directory: RunDirectory) -> None:
    mine = directory.products / "mine"
    mine.mkdir()
    (mine / "x.fits").write_bytes(fits_image((1, 1, 8, 8)))
    weblog = directory.products / WEBLOG
    weblog.mkdir(parents=True)
    (weblog / "plot.fits").write_bytes(b"")
    (directory.products / "a_folder.fits").mkdir()
    found = [member.name for member in images_of(directory)]
    assert found == sorted(["mine/x.fits", *(image(name) for name in (*SCIENCE, *ANCILLARY))])


def test_images_that_can_be_archived_have_no_gaps(directory: RunDirectory) -> None:
    assert image_gaps(directory, PATTERNS) == ()


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_damaged_compressed_image_is_not_archived(
    directory: RunDirectory, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    content = bytearray(compress(fits_image((1, 20, 100, 100))))
    compressed = directory.products / f"{image(SCIENCE[0])}{ending}"
    compressed.write_bytes(content)
    assert image_gaps(directory, PATTERNS) == ()
    for byte in range(len(content) - 300, len(content) - 200):
        content[byte] ^= 0x5A
    compressed.write_bytes(content)
    (gap,) = image_gaps(directory, PATTERNS)
    assert gap.startswith(f"'{compressed}' is damaged or was not written to its end")


def test_all_that_stands_against_them_is_reported(directory: RunDirectory) -> None:
    products = directory.products
    (products / image(SCIENCE[0])).unlink()
    (products / image(SCIENCE[1])).write_bytes(fits_image((1, 1, 8, 8))[:-2880])
    (products / image(ANCILLARY[0])).write_bytes(b"")
    (products / image(ANCILLARY[1])).unlink()
    (products / image(ANCILLARY[1])).symlink_to(products / image(SCIENCE[1]))
    (products / "with blanks.fits").write_bytes(fits_image((1, 1, 8, 8)))
    gaps = " ".join(image_gaps(directory, ("*.nothing",)))
    for said in (
        f"lacks '{image(SCIENCE[0])}'",
        "has been cut off",
        f"lacks '{image(ANCILLARY[0])}'",
        "is a symbolic link",
        "'with blanks.fits' in products/ has a name",
        "None of the 4 FITS files in products/ is a science product, which is called '*.nothing'",
    ):
        assert said in gaps


@pytest.mark.parametrize("products", ["", '<weblog name="a.tgz"/>', '<image name="a.png"/>'])
def test_a_manifest_without_images_is_a_gap(directory: RunDirectory, products: str) -> None:
    (directory.products / manifest_of_images(MOUS)).write_text(
        f"<piperesults><ous name='x'>{products}</ous></piperesults>"
    )
    assert "The manifest names no image." in image_gaps(directory, PATTERNS)


def test_no_manifest_is_the_only_gap(directory: RunDirectory) -> None:
    (directory.products / manifest_of_images(MOUS)).unlink()
    (gap,) = image_gaps(directory, PATTERNS)
    assert "0 manifests" in gap


def test_what_the_manifest_names_outside_products_is_a_gap(directory: RunDirectory) -> None:
    (directory.root / "outside.fits").write_bytes(fits_image((1, 1, 8, 8)))
    manifest = directory.products / manifest_of_images(MOUS)
    manifest.write_text(manifest.read_text().replace("</ous>", '<image name="../outside.fits"/></ous>'))
    (gap,) = image_gaps(directory, PATTERNS)
    assert "lacks '../outside.fits'" in gap
