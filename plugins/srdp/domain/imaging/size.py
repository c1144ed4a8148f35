"""How large the images of a request would be: an estimate, so that nothing is fetched for what cannot be made.

An image reaches to where the primary beam of a 12-m antenna has fallen to a fifth: ``1.13 wavelength / 12 m`` wide at
half power (ALMA Technical Handbook, chapter 3: 19.4 arcseconds at 300 GHz), and taken for a Gaussian, so 1.52 times as
wide there. Its pixels are a fifth of the resolution. Each takes 4 bytes in each channel, and each image is exported as
three files: corrected for the primary beam, the primary beam, the mask; twice if the data are self-calibrated. A mosaic
is larger and the pipeline rounds the number of pixels up, so that an estimate is rather too small; the pipeline's own
check, with what the data say, follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from srdp.domain.common.errors import InvalidInput
from srdp.domain.imaging.cube import CubeRequest
from srdp.domain.imaging.quantities import SPEED_OF_LIGHT_KM_S, Axis, axis_of, in_ghz, in_km_s
from srdp.domain.imaging.request import ImagingRequest

_ARCSEC = math.radians(1 / 3600)
_ANTENNA_METRES = 12.0
_BEAM_FACTOR = 1.13
_BEAM_LEVEL = 0.2
_PIXELS_PER_BEAM = 5
_BYTES_PER_PIXEL = 4
_FILES_PER_IMAGE = 3
_GB = 1e9
# The resolution of ALMA's most compact array, at 100 GHz (ALMA Technical Handbook): no data have a coarser one.
_COARSEST_ARCSEC_AT_100_GHZ = 12.5
# ALMA's bands end here; a frequency that is not known is taken for the highest, at which an image is smallest.
_LOWEST_GHZ, _HIGHEST_GHZ = 35.0, 950.0


@dataclass(frozen=True, kw_only=True)
class SizeLimits:
    """The limits that the pipeline is given, all in GB (10^9 bytes).

    Attributes:
        cube: a larger cube is made smaller by the pipeline: coarser, narrower or with fewer channels.
        cube_limit: a cube that would be larger still is not made.
        products: what all products of a run may take.
    """

    cube: float = 100.0
    cube_limit: float = 120.0
    products: float = 10_000.0


@dataclass(frozen=True, kw_only=True)
class ImageSize:
    """The estimate for one image or cube.

    Attributes:
        name: what it is, for a sentence.
        pixels: along one of its sides.
        channels: how many it has; 1 for a continuum image.
        resolution_arcsec: that for which it was estimated.
        lower_bound: whether resolution or frequency is not known, and the image at least this large.
    """

    name: str
    pixels: int
    channels: int
    resolution_arcsec: float
    lower_bound: bool = False

    @property
    def gb(self) -> float:
        """The size of the image alone, in GB (10^9 bytes)."""
        return self.pixels**2 * self.channels * _BYTES_PER_PIXEL / _GB


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The estimate for a request.

    Attributes:
        images: each image and cube, once.
        times: how often each is made.
        warnings: what the pipeline would make otherwise than it was asked, one sentence each.
    """

    images: tuple[ImageSize, ...]
    times: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def products_gb(self) -> float:
        """The size of all products together, in GB (10^9 bytes)."""
        return self.times * _FILES_PER_IMAGE * sum(image.gb for image in self.images)


class ImagesTooLarge(InvalidInput):
    """The images of a request are larger than the pipeline makes; the text has one sentence a line."""


def check_image_sizes(
    request: ImagingRequest,
    limits: SizeLimits,
    *,
    nominal_resolution_arcsec: float | None = None,
    nominal_frequency_ghz: float | None = None,
) -> Sizes:
    """Estimates how large the images would be, and refuses what is too large.

    Args:
        request: what is asked for.
        limits: the limits.
        nominal_resolution_arcsec: the resolution of the MOUS's data, in arcseconds, which counts if the request names
            none; None if it is not known, and then only what is too large at the coarsest resolution is refused.
        nominal_frequency_ghz: about which frequency they were observed at, in GHz, which counts where the request does
            not say; None if it is not known.

    Raises:
        ImagesTooLarge: each sentence says which cube it is, its size, the limit and what to change.
    """
    resolution = request.angular_resolution_arcsec or nominal_resolution_arcsec
    images = tuple(_images(request, resolution, nominal_frequency_ghz))
    # Self-calibrated images are made beside the others.
    times = 2 if request.self_calibration else 1
    sizes = Sizes(images=images, times=times, warnings=tuple(_warnings(images, limits)))
    problems = [_too_large(image, limits.cube_limit) for image in images if image.gb > limits.cube_limit]
    if sizes.products_gb > limits.products:
        problems.append(
            f"All products together would take about {sizes.products_gb:,.0f} GB, more than the limit of "
            f"{limits.products:,g} GB: ask for fewer cubes or fields, or for several requests."
        )
    if problems:
        raise ImagesTooLarge("\n".join(problems))
    return sizes


def observed_frequency_ghz(cube: CubeRequest, nominal_ghz: float | None = None) -> float:
    """Return about which frequency a cube was observed at, in GHz; outside ALMA's bands, their end.

    Args:
        cube: the cube.
        nominal_ghz: what is known of the data; it counts if the cube is counted in channels. If nothing is known, the
            line's rest frequency is all there is.
    """
    axis = axis_of(cube.start)
    frequency = cube.rest_frequency_ghz
    if axis is Axis.FREQUENCY:
        frequency = in_ghz(cube.start)
    elif axis is Axis.VELOCITY:  # radio definition, as in CASA
        frequency *= 1 - in_km_s(cube.start) / SPEED_OF_LIGHT_KM_S
    elif nominal_ghz is not None:
        frequency = nominal_ghz
    return min(max(frequency, _LOWEST_GHZ), _HIGHEST_GHZ)


def image_width_arcsec(frequency_ghz: float) -> float:
    """Return how wide an image is, in arcseconds: to where the primary beam has fallen to a fifth on both sides.

    Args:
        frequency_ghz: of the observation.
    """
    wavelength_metres = SPEED_OF_LIGHT_KM_S * 1e3 / (frequency_ghz * 1e9)
    half_power = _BEAM_FACTOR * wavelength_metres / _ANTENNA_METRES / _ARCSEC
    return half_power * math.sqrt(math.log(1 / _BEAM_LEVEL) / math.log(2))


def _images(request: ImagingRequest, resolution: float | None, nominal_ghz: float | None) -> Iterator[ImageSize]:
    observed = [observed_frequency_ghz(cube, nominal_ghz) for cube in request.cubes]
    if request.continuum:
        # If its frequency is not known, it is not far from that of the cubes if there are any.
        known = nominal_ghz is not None or bool(observed)
        frequency = nominal_ghz or max(observed, default=_HIGHEST_GHZ)
        for field in request.fields:
            yield _image(f"The continuum image of {field}", frequency, 1, resolution, known=known)
    for number, (cube, frequency) in enumerate(zip(request.cubes, observed, strict=True), start=1):
        name = f"Cube {number} ({cube.field}, spectral window {cube.spw})"
        yield _image(name, frequency, cube.channels, resolution)


def _image(
    name: str, frequency_ghz: float, channels: int, resolution: float | None, *, known: bool = True
) -> ImageSize:
    counted = resolution or _COARSEST_ARCSEC_AT_100_GHZ * 100 / frequency_ghz
    pixels = math.ceil(image_width_arcsec(frequency_ghz) * _PIXELS_PER_BEAM / counted)
    lower_bound = resolution is None or not known
    return ImageSize(name=name, pixels=pixels, channels=channels, resolution_arcsec=counted, lower_bound=lower_bound)


def _warnings(images: tuple[ImageSize, ...], limits: SizeLimits) -> Iterator[str]:
    for image in images:
        if limits.cube < image.gb <= limits.cube_limit:
            yield (
                f"{image.name} would take about {image.gb:.1f} GB; above {limits.cube:g} GB the pipeline makes it "
                "coarser, narrower or with fewer channels than was asked."
            )


def _too_large(image: ImageSize, limit_gb: float) -> str:
    size = f"{image.name} would take {'at least' if image.lower_bound else 'about'} {image.gb:,.1f} GB"
    made_of = f"{image.pixels} x {image.pixels} pixels, {image.channels} channels"
    # So that the image is as wide in whole pixels, of which there are at most this many.
    pixels = max(1, math.floor(image.pixels * math.sqrt(limit_gb / image.gb)))
    coarser = math.ceil(image.resolution_arcsec * image.pixels / pixels * 1000) / 1000
    advice = f"a resolution of {coarser:g} arcseconds or coarser"
    fewer = math.floor(image.channels * limit_gb / image.gb)
    if fewer:
        advice = f"{fewer} channels or fewer, or for {advice}"
    return f"{size} ({made_of}), more than the limit of {limit_gb:g} GB: ask for {advice}."
