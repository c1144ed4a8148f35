from __future__ import annotations

import gzip
import lzma
import os
import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from tests.imaging import NOISE, fits_image

from srdp.domain.common.errors import InvalidInput
from srdp.domain.files import unpacking
from srdp.domain.files.storage import LocalFilesError
from srdp.domain.imaging import fits_header
from srdp.domain.imaging import noise as image_noise

CUBE = "uid___A001_X1288_X3f.TW_Hya_sci.spw25.cube.I.pbcor.fits"
CASES = Path(__file__).parents[3] / "data" / "images"
CONTINUUM = "uid___A001_X1288_X3f.J1037_2934_sci.spw25_27.cont.I.tt0.pbcor.fits"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / CUBE


def read_image(path: Path, *, measure: bool = True) -> fits_header.ImageFacts:
    return fits_header.read_image(path.parent, path, measure=measure)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_cube_is_described(place: Path) -> None:
    facts = read_image(write(place, fits_image((1, 8, 24, 32))))
    assert (facts.kind, facts.field, facts.spw, facts.stokes, facts.unit) == ("cube", "TW_Hya", "25", "I", "Jy/beam")
    assert (facts.width, facts.height, facts.channels, facts.rest_frequency_hz) == (32, 24, 8, 345.796e9)
    beam = (facts.beam_major_arcsec, facts.beam_minor_arcsec, facts.beam_pa_deg)
    assert beam == pytest.approx((2.0, 1.5, -30.0))
    assert facts.rms == pytest.approx(NOISE, rel=0.05)


def test_what_the_header_does_not_say_is_in_the_name_or_nowhere(tmp_path: Path) -> None:
    silent = {"OBJECT": None, "CTYPE4": None, "BMAJ": None, "BUNIT": None, "RESTFRQ": None}
    facts = read_image(write(tmp_path / CONTINUUM, fits_image((1, 1, 24, 32), **silent)))
    assert (facts.kind, facts.field, facts.spw, facts.stokes) == ("continuum", "J1037_2934", "25,27", "I")
    assert (facts.unit, facts.beam_major_arcsec, facts.rest_frequency_hz) == ("", None, None)
    facts = read_image(write(tmp_path / "mine.fits", fits_image((1, 1, 24, 32), **silent)))
    assert (facts.field, facts.spw, facts.stokes) == ("", "", "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.spw25.cube.I.pb.fits", "pb"), ("x.spw25.cube.I.mask.fits", "mask"), ("x.cont.I.alpha.fits", "alpha")],
)
def test_what_is_beside_an_image_has_no_noise(tmp_path: Path, name: str, kind: str) -> None:
    facts = read_image(write(tmp_path / name, fits_image((1, 8, 24, 32))))
    assert (facts.kind, facts.rms) == (kind, None)


def test_of_many_beams_the_median_is_reported(place: Path) -> None:
    place.write_bytes(fits_image((1, 3, 24, 32), BMAJ=None, BMIN=None, BPA=None, CASAMBM=True))
    columns = [
        fits.Column(name=name, format="1E", array=np.array(values))
        for name, values in {"BMAJ": [2.0, 2.2, 9.0], "BMIN": [1.0, 1.5, 1.6], "BPA": [10.0, 20.0, 30.0]}.items()
    ]
    fits.append(
        place, fits.BinTableHDU.from_columns(columns, name="BEAMS").data, header=fits.Header({"EXTNAME": "BEAMS"})
    )
    facts = read_image(place)
    assert (facts.beam_major_arcsec, facts.beam_minor_arcsec, facts.beam_pa_deg) == pytest.approx((2.2, 1.5, 20.0))


@pytest.mark.parametrize(
    ("case", "beam"),
    [
        # The table's unit is deg.
        ("deg", (0.36, 0.288, 10.0)),
        # Of 6 and 8 channels, 4 and 2 have no data.
        ("zeros", (0.365, 0.295, 10.0)),
        ("zeros2of8", (0.35, 0.25, 10.0)),
    ],
)
def test_beam_table_is_read_in_its_unit_without_empty_channels(case: str, beam: tuple[float, float, float]) -> None:
    facts = read_image(CASES / f"{case}_uid___A001_X34_X567.src1_sci.spw25.cube.I.pbcor.fits")
    assert (facts.beam_major_arcsec, facts.beam_minor_arcsec, facts.beam_pa_deg) == pytest.approx(beam, rel=1e-5)


@pytest.mark.parametrize("unit", ["Jy", "<script>"])
def test_beam_table_without_angle_unit_has_no_beam(tmp_path: Path, unit: str) -> None:
    with fits.open(CASES / "deg_uid___A001_X34_X567.src1_sci.spw25.cube.I.pbcor.fits") as hdus:
        hdus[1].columns["BMAJ"].unit = unit
        hdus.writeto(tmp_path / CUBE)
    assert read_image(tmp_path / CUBE).beam_major_arcsec is None


def primary_beam(size: int, edge: float) -> np.ndarray:
    """Return a Gaussian that has fallen to so much at the middle of an edge."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return edge ** ((x**2 + y**2) / ((size - 1) / 2) ** 2)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("x.f_sci.spw25.cube.regcal.I.pbcor.fits", "x.f_sci.spw25.cube.regcal.I.{}.fits"),
        ("x.f_sci.spw25.cube.regcal.I.pbcor.v2.fits", "x.f_sci.spw25.cube.regcal.I.{}.v2.fits"),
        ("oussid.f_bp.L_band.cont.regcal.I.tt0.pbcor.fits", "oussid.f_bp.L_band.cont.regcal.I.{}.tt0.fits"),
        ("x.f_sci.spw0_1.cont.regcal.I.tt0.pbcor.fits", "x.f_sci.spw0_1.cont.regcal.I.{}.fits"),
    ],
)
@pytest.mark.parametrize("edge", [0.05, 0.5], ids=["seen down to 0.2", "cut off inside the primary beam"])
def test_noise_is_measured_before_the_beam_correction(tmp_path: Path, name: str, beside: str, edge: float) -> None:
    """The corrected image is noisier towards its edge: as a whole, seen down to a primary beam of 0.2, twice."""
    size, planes = 200, 3
    beam = np.broadcast_to(primary_beam(size, edge), (1, planes, size, size)).copy()
    flat = np.random.default_rng(3).normal(0.0, NOISE, beam.shape)
    # Two sources: a faint one over half of the image, masked in one channel only, and one that nobody has masked.
    masked = np.zeros_like(beam)
    flat[:, :, 100:] += 3 * NOISE
    masked[0, 1, 100:] = 1.0
    flat[:, :, 95:105, 95:105] += 5.0
    seen = beam >= 0.2
    corrected = np.where(seen, flat / beam, np.nan).astype(np.float32)
    write(tmp_path / name, fits_image(beam.shape, corrected))
    alone = read_image(tmp_path / name).rms
    for kind, data in (("pb", np.where(seen, beam, np.nan)), ("mask", masked)):
        write(tmp_path / beside.format(kind), fits_image(beam.shape, data.astype(np.float32)))
    measured = read_image(tmp_path / name).rms
    assert measured == pytest.approx(NOISE, rel=0.05)
    if edge < 0.2:
        assert alone is not None
        assert alone > 1.9 * measured


@pytest.mark.parametrize("harm", ["another size", "no FITS", "no annulus"])
def test_a_primary_beam_that_is_of_no_use_is_left_out(tmp_path: Path, harm: str) -> None:
    write(tmp_path / CUBE, fits_image((1, 3, 50, 50)))
    contents = {
        "another size": lambda: fits_image((1, 3, 24, 32)), "no FITS": lambda: b"x",
        "no annulus": lambda: fits_image((1, 3, 50, 50), np.ones((1, 3, 50, 50), np.float32)),
    }  # fmt: skip
    write(tmp_path / CUBE.replace("pbcor", "pb"), contents[harm]())
    assert read_image(tmp_path / CUBE).rms == pytest.approx(NOISE, rel=0.05)


def test_channels_without_data_have_no_noise(place: Path) -> None:
    data = np.random.default_rng(2).normal(0.0, NOISE, (1, 5, 64, 64)).astype(np.float32)
    data[0, :3] = 0.0
    assert read_image(write(place, fits_image(data.shape, data))).rms == pytest.approx(NOISE, rel=0.05)


@pytest.mark.parametrize("beam", [(0.0, 0.0), (-1.0, 1.0), (1e306, 1e306), (1e9, 1.0)])
def test_a_beam_that_cannot_be_is_none(place: Path, beam: tuple[float, float]) -> None:
    facts = read_image(write(place, fits_image((1, 1, 24, 32), BMAJ=beam[0], BMIN=beam[1])))
    assert (facts.beam_major_arcsec, facts.beam_minor_arcsec, facts.beam_pa_deg) == (None, None, None)


def test_all_polarisations_are_reported(place: Path) -> None:
    assert read_image(write(place, fits_image((4, 2, 24, 32)))).stokes == "IQUV"


def test_noise_is_robust_against_sources_and_blanks(place: Path) -> None:
    data = np.random.default_rng(2).normal(0.0, NOISE, (1, 4, 64, 64)).astype(np.float32)
    data[0, :, 20:30, 20:30] = 5.0
    data[0, :, :8, :] = np.nan
    assert read_image(write(place, fits_image(data.shape, data))).rms == pytest.approx(NOISE, rel=0.1)
    data[:] = np.nan
    assert read_image(write(place, fits_image(data.shape, data))).rms is None


def test_an_image_of_scaled_whole_numbers_is_measured(place: Path) -> None:
    """... as ``exportfits`` writes it with ``bitpix=16``."""
    hdu = fits.PrimaryHDU(np.random.default_rng(2).normal(0.0, NOISE, (1, 4, 64, 64)).astype(np.float32))
    hdu.scale("int16", "minmax")
    hdu.header["CTYPE3"], hdu.header["BLANK"] = "FREQ", -32768
    hdu.writeto(place)
    facts = read_image(place)
    assert (facts.kind, facts.channels) == ("cube", 4)
    assert facts.rms == pytest.approx(NOISE, rel=0.1)


def test_invalid_scale_is_found_before_measuring_noise(place: Path) -> None:
    content = fits_image((1, 2, 24, 32), SCALED="two")
    broken = content.replace(b"SCALED  =", b"BSCALE  =")
    assert broken != content
    place.write_bytes(broken)
    with pytest.raises(InvalidInput, match="cannot be read as FITS"):
        read_image(place, measure=False)


def test_truncated_compressed_image_is_detected(place: Path) -> None:
    data = np.random.default_rng(2).normal(0.0, NOISE, (20, 200, 200)).astype(np.float32)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(place)
    assert place.stat().st_size < data.nbytes
    facts = read_image(place)
    assert (facts.width, facts.height) == (200, 200)
    assert facts.rms == pytest.approx(NOISE, rel=0.1)
    os.truncate(place, place.stat().st_size // 2)
    with pytest.raises(InvalidInput, match="has been cut off"):
        read_image(place, measure=False)


@pytest.mark.parametrize("compression", ["RICE_1", "HCOMPRESS_1"])
def test_damaged_compression_is_reported_in_one_sentence(place: Path, compression: str) -> None:
    data = np.random.default_rng(2).normal(0.0, NOISE, (64, 64)).astype(np.float32)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type=compression)]).writeto(place)
    with fits.open(place) as hdus:
        begin = hdus[1].fileinfo()["datLoc"] + 64 * 32
    content = bytearray(place.read_bytes())
    content[begin:-2880] = bytes(len(content) - 2880 - begin)
    place.write_bytes(content)
    with pytest.raises(InvalidInput, match="cannot be read as FITS"):
        read_image(place)


def test_a_huge_image_is_looked_at_in_little_memory(place: Path) -> None:
    """40 GB, of which nothing is on the disk."""
    header = fits.Header(
        {"SIMPLE": True, "BITPIX": -32, "NAXIS": 4, "NAXIS1": 10_000, "NAXIS2": 10_000, "NAXIS3": 100, "NAXIS4": 1}
        | {"CTYPE3": "FREQ"}
    )
    place.write_bytes(header.tostring().encode())
    os.truncate(place, place.stat().st_size + 4 * 10_000**2 * 100)
    tracemalloc.start()
    try:
        facts = read_image(place)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (facts.channels, facts.rms) == (100, None), "zeros are no data"
    assert peak < 200e6


def hostile() -> list[tuple[str, bytes]]:
    good = fits_image((1, 2, 24, 32))
    return [
        ("empty", b""),
        ("text", b"not FITS at all\n" * 400),
        ("binary", bytes(range(256)) * 40),
        ("half a header", good[:1000]),
        ("cut off", good[:-2880]),
        ("no image", fits.PrimaryHDU().header.tostring().encode()),
        ("a table", _table()),
        ("no length", good.replace(b"NAXIS1  =                   32", b"NAXIS1  =                    x")),
        ("negative", good.replace(b"NAXIS1  =                   32", b"NAXIS1  =                  -32")),
        ("an axis too long", good.replace(b"NAXIS1  =                   32", b"NAXIS1  =   999999999999999999")),
        ("compressed by compress", b"\x1f\x9d\x90" + good),
        ("bits of none", good.replace(b"BITPIX  =                  -32", b"BITPIX  =                   17")),
    ]


def _table() -> bytes:
    import io

    written = io.BytesIO()
    table = fits.BinTableHDU.from_columns([fits.Column(name="a", format="J", array=np.arange(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(written)
    return written.getvalue()


@pytest.mark.parametrize(("name", "content"), [pytest.param(name, data, id=name) for name, data in hostile()])
def test_what_is_no_image_is_one_sentence(place: Path, name: str, content: bytes) -> None:
    place.write_bytes(content)
    with pytest.raises(InvalidInput) as reported:
        read_image(place, measure=False)
    said = str(reported.value)
    assert said.startswith(str(place))
    assert said.isprintable()


def test_a_name_with_a_line_end_in_it_makes_no_second_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as reported:
        read_image(write(tmp_path / "a\nAll well.fits", b""))
    assert str(reported.value).isprintable()
    assert r"a\nAll well.fits cannot be read" in str(reported.value)


def test_a_compressed_image_that_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    content = bytearray(lzma.compress(fits_image((1, 20, 100, 100))))
    for byte in range(len(content) // 2, len(content) // 2 + 50):
        content[byte] ^= 0x5A
    with pytest.raises(InvalidInput, match="cannot be read as FITS"):
        read_image(write(tmp_path / f"{CUBE}.gz", bytes(content)))


def test_hostile_words_are_text(place: Path) -> None:
    words = {"OBJECT": "'; DROP TABLE image; --", "BUNIT": "<script>", "BMAJ": "two", "RESTFRQ": True}
    facts = read_image(write(place, fits_image((1, 2, 24, 32), **words)))
    assert (facts.field, facts.unit) == (words["OBJECT"], words["BUNIT"])
    assert (facts.beam_major_arcsec, facts.rest_frequency_hz) == (None, None)


def test_a_link_and_a_pipe_are_not_read(place: Path, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(fits_image((1, 2, 24, 32)))
    place.symlink_to(tmp_path / "image")
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        read_image(place)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(InvalidInput, match="is a named pipe"):
        read_image(place)
    place.unlink()
    with pytest.raises(LocalFilesError):
        read_image(place)


def _one_tile(place: Path) -> Path:
    """100 MB of zeros in one tile, which take 0.1 MB."""
    image = fits.CompImageHDU(
        np.zeros((5_000, 10_000), np.int16), compression_type="GZIP_1", tile_shape=(5_000, 10_000)
    )
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(place)
    return place


def _an_endless_header(place: Path) -> Path:
    with gzip.open(place.with_name(f"{CUBE}.gz"), "wb", compresslevel=1) as stream:
        stream.write(fits_image((1, 2, 24, 32))[:2880].replace(b"END", b"   "))
        for _ in range(12):
            stream.write(b" " * 2880 * 1000)
    return place.with_name(f"{CUBE}.gz")


@pytest.mark.parametrize("bomb", [_one_tile, _an_endless_header])
def test_unpacking_is_limited_to_an_images_memory(
    place: Path, bomb: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = bomb(place)
    assert packed.stat().st_size < 3_000_000
    before = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setattr(unpacking, "MOST_MEMORY", 30 << 20)
    with pytest.raises(InvalidInput, match="cannot be read as FITS"):
        read_image(packed, measure=False)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert read_image(write(place.with_name("mine.fits"), fits_image((1, 1, 24, 32)))).width == 32


def test_image_of_many_short_rows_is_read_in_few_pieces(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    section = image_noise._section
    monkeypatch.setattr(image_noise, "_section", lambda *about: read.append(about) or section(*about))
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 1, "NAXIS2": 1_000_000_000})
    for name in (CONTINUUM, CONTINUUM.replace(".pbcor.", ".pb.")):
        content = write(place.with_name(name), header.tostring().encode())
        os.truncate(content, content.stat().st_size + 4_000_000_000)
    monkeypatch.setattr(image_noise, "_MOST_PIECES", 100)
    assert read_image(place.with_name(CONTINUUM)).rms is None
    assert 0 < len(read) <= 3 * 100
