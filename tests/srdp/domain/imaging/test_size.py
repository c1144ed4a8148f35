from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.srdp.domain.alma_files import asked

from srdp.domain.imaging.cube import CubeRequest
from srdp.domain.imaging.size import (
    ImagesTooLarge,
    SizeLimits,
    check_image_sizes,
    image_width_arcsec,
    observed_frequency_ghz,
)

LIMITS = SizeLimits()


def request(channels: int = 80, start: str = "-5km/s", width: str = "0.25km/s", **changes: object):
    line = f"TW_Hya, 25, 345.796, {start}, {width}, {channels}"
    return asked(**{"fields": "TW_Hya", "cubes": line, "continuum": False, **changes})


def test_the_primary_beam_is_that_of_the_handbook() -> None:
    # 19.4 arcseconds at half power and 300 GHz, and 1.52 times as wide at a fifth.
    assert image_width_arcsec(300) == pytest.approx(19.4 * 1.524, rel=0.002)
    assert image_width_arcsec(150) == pytest.approx(2 * image_width_arcsec(300))


def test_a_cube_is_as_large_as_its_pixels_channels_and_files() -> None:
    sizes = check_image_sizes(request(angular_resolution_arcsec=0.5), LIMITS)
    [cube] = sizes.images
    pixels = image_width_arcsec(345.796) / (0.5 / 5)
    assert cube.pixels == pytest.approx(pixels, abs=1)
    assert cube.gb == pytest.approx(4 * pixels**2 * 80 / 1e9, rel=0.02)
    assert sizes.products_gb == pytest.approx(3 * cube.gb)
    assert not cube.lower_bound
    again = check_image_sizes(request(angular_resolution_arcsec=0.5, self_calibration=True), LIMITS)
    assert again.products_gb == pytest.approx(2 * sizes.products_gb)


@pytest.mark.parametrize(
    ("start", "width", "nominal", "observed"),
    [
        ("330GHz", "1MHz", 100, 330),
        ("0km/s", "1km/s", 100, 345.796),
        ("29979.2458km/s", "1km/s", None, 345.796 * 0.9),
        ("0", "1", None, 345.796),
        ("0", "1", 100, 100),
        ("270000km/s", "1km/s", None, 35),
    ],
)
def test_a_cube_is_observed_where_its_request_says(
    start: str, width: str, nominal: float | None, observed: float
) -> None:
    cube = CubeRequest(field="a", spw=1, rest_frequency_ghz=345.796, start=start, width=width, channels=1)
    assert observed_frequency_ghz(cube, nominal) == pytest.approx(observed)


def test_a_cube_that_is_too_large_is_refused_with_what_would_fit() -> None:
    with pytest.raises(ImagesTooLarge) as caught:
        check_image_sizes(request(8000, angular_resolution_arcsec=0.02), LIMITS)
    line = str(caught.value)
    assert line.startswith("Cube 1 (TW_Hya, spectral window 25) would take about 1,3")
    assert "more than the limit of 120 GB: ask for 729 channels or fewer, or for a resolution of 0.067 arcsec" in line
    for fitting in (
        {"channels": 729, "angular_resolution_arcsec": 0.02},
        {"channels": 8000, "angular_resolution_arcsec": 0.067},
    ):
        check_image_sizes(request(**fitting), LIMITS)
    with pytest.raises(ImagesTooLarge):
        check_image_sizes(request(731, angular_resolution_arcsec=0.02), LIMITS)


def test_cube_between_the_limits_is_reduced_with_a_warning() -> None:
    sizes = check_image_sizes(request(700, angular_resolution_arcsec=0.02), LIMITS)
    [warning] = sizes.warnings
    assert "above 100 GB the pipeline makes it coarser, narrower or with fewer channels" in warning
    assert not check_image_sizes(request(600, angular_resolution_arcsec=0.02), LIMITS).warnings


def test_all_products_together_have_a_limit_too() -> None:
    cubes = "\n".join(f"TW_Hya, {spw}, 345.796, 0km/s, 1km/s, 600" for spw in range(40))
    large = request(cubes=cubes, angular_resolution_arcsec=0.02)
    with pytest.raises(
        ImagesTooLarge, match=r"All products together would take about 11,8\d\d GB, more than .* 10,000 GB"
    ):
        check_image_sizes(large, LIMITS)
    check_image_sizes(large, SizeLimits(products=12_000))


def test_requested_resolution_precedes_that_of_the_data() -> None:
    sizes = [
        check_image_sizes(request(angular_resolution_arcsec=asked_for), LIMITS, nominal_resolution_arcsec=nominal)
        for asked_for, nominal in ((0.5, 0.1), (0.5, None), (None, 0.5))
    ]
    assert sizes[0] == sizes[1] == sizes[2]


def test_unknown_resolution_refuses_only_certain_excess() -> None:
    sizes = check_image_sizes(request(angular_resolution_arcsec=None, continuum=True), LIMITS)
    assert all(image.lower_bound and 30 < image.pixels < 40 for image in sizes.images)
    with pytest.raises(ImagesTooLarge, match="would take at least"):
        check_image_sizes(request(angular_resolution_arcsec=None), SizeLimits(cube_limit=1e-6))


def test_unknown_frequency_gives_a_low_size_estimate() -> None:
    alone = request(cubes=None, continuum=True, angular_resolution_arcsec=0.05)
    [unknown] = check_image_sizes(alone, LIMITS).images
    [known] = check_image_sizes(alone, LIMITS, nominal_frequency_ghz=100).images
    assert unknown.lower_bound
    assert not known.lower_bound
    assert unknown.pixels < known.pixels


@given(
    st.floats(0.001, 100),
    st.integers(1, 16384),
    st.floats(0.1, 1000),
    st.sampled_from([("0", "1"), ("-5km/s", "1km/s"), ("40GHz", "1MHz"), ("270000km/s", "1m/s")]),
)
@example(resolution=0.5, channels=14173, limit=0.1, axis=("0", "1"))
def test_what_the_refusal_advises_is_taken(
    resolution: float, channels: int, limit: float, axis: tuple[str, str]
) -> None:
    limits = SizeLimits(cube_limit=limit, products=1e12)
    text = ""
    try:
        check_image_sizes(request(channels, *axis, angular_resolution_arcsec=resolution), limits)
    except ImagesTooLarge as refused:
        text = str(refused)
    if not text:
        return
    coarser = float(text.split("a resolution of ")[1].split(maxsplit=1)[0])
    assert coarser >= resolution
    if coarser <= 100:
        check_image_sizes(request(channels, *axis, angular_resolution_arcsec=coarser), limits)
    if "channels or fewer" in text:
        fewer = int(text.split("ask for ")[1].split(maxsplit=1)[0])
        check_image_sizes(request(fewer, *axis, angular_resolution_arcsec=resolution), limits)
