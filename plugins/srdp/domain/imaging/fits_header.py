"""What a FITS image says of itself: its header, and the noise in its pixels.

The header's words are CASA's ``exportfits``, and beyond the standard those that the ALMA pipeline adds. What it does
not say is taken from the product's name: ``<MOUS>.<field>_<intent>.spw<n>[_<n>...].<cube|cont|mfs>.<stokes>....fits``.
"""

from __future__ import annotations

import errno
import lzma
import math
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.shared_files import PRODUCT, SharedFile, open_shared
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable, local_files
from srdp.domain.files.unpacking import is_packed, limited_memory, unpacked
from srdp.domain.imaging.noise import measure_noise

#: The kinds of image whose pixels are brightnesses, so that noise can be measured.
CUBE: Final = "cube"
CONTINUUM: Final = "continuum"

_NAME = re.compile(
    r"(?:uid___A\w+?\.)?(?P<field>.+?)_(?:sci|bp|ph|flux|chk|pol|amp)\.spw(?P<spw>\d+(?:_\d+)*)\..*?\.(?P<stokes>[IQUV]{1,4})\.",
    re.ASCII,
)
# What is beside an image, by the part of the name that says so.
_BESIDE: Final = ("mask", "pb", "alpha", "psf", "model", "residual")
_STOKES: Final = {1: "I", 2: "Q", 3: "U", 4: "V", -1: "RR", -2: "LL", -3: "RL", -4: "LR"} | {
    -5: "XX", -6: "YY", -7: "XY", -8: "YX",
}  # fmt: skip
_SPECTRAL: Final = ("FREQ", "VRAD", "VELO", "VOPT")
_BITPIX: Final = frozenset({8, 16, 32, 64, -32, -64})
_ARCSEC_PER_DEGREE = 3600.0
_WIDEST_BEAM_ARCSEC = 180 * _ARCSEC_PER_DEGREE
_LONGEST_WORD = 200
_LARGEST_AXIS = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What is known of an image.

    Attributes:
        kind: ``cube`` or ``continuum``; what is no image of the sky is called after its name: ``pb``, ``mask``.
        field: the field's name; empty if neither header nor name says it.
        spw: the spectral windows, for example ``25`` or ``25,27``; likewise.
        stokes: for example ``I`` or ``IQUV``; likewise.
        beam_major_arcsec: the beam's larger width at half its maximum; of a cube with many beams, their median. None
            if the header has no beam, or one that cannot be. Of many beams those of 0 are of channels without data.
        beam_minor_arcsec: its smaller width; likewise.
        beam_pa_deg: its position angle; likewise.
        rms: the noise by the pipeline's definition, in :attr:`unit`; None if it was not measured.
        unit: of the pixels, for example ``Jy/beam``; empty if the header does not say.
        width: in pixels.
        height: in pixels.
        channels: 1 for a continuum image.
        rest_frequency_hz: None if the header does not say.
    """

    kind: str
    field: str
    spw: str
    stokes: str
    beam_major_arcsec: float | None
    beam_minor_arcsec: float | None
    beam_pa_deg: float | None
    rms: float | None
    unit: str
    width: int
    height: int
    channels: int
    rest_frequency_hz: float | None


def read_image(root: Path, path: Path, *, measure: bool = True) -> ImageFacts:
    """Read the header of a FITS image, and measures its noise.

    Whatever the file says of itself, it takes little memory: see :func:`srdp.domain.files.unpacking.limited_memory`.

    The noise is that of the pipeline's own definition, see :mod:`srdp.domain.imaging.noise`: with the primary beam and
    the clean mask that are beside an image under the pipeline's names, as far as they are there and can be read.

    Args:
        root: the folder that is trusted: the run's directory.
        path: the file, below it; its name counts where the header is silent.
        measure: whether to read pixels; primary beams and masks have no noise to measure.

    Raises:
        InvalidInput: it is no FITS file with an image in it, has been cut off, or takes more memory than an image may.
        LocalFilesError: it cannot be read.
    """
    import astropy.io.fits  # noqa: F401  what it takes to import it is not the image's

    with limited_memory(), _opened(root, path) as (file, hdus), _explained(path):
        image = _image(hdus)
        if image is None:
            raise InvalidInput(f"{_named(path)} is FITS, but holds no image of two or more dimensions: make it again.")
        _check_whole(file, image)
        facts = _facts(path.name, image.header, _beam(image.header, hdus))
        if facts["kind"] not in {CUBE, CONTINUUM}:
            return ImageFacts(**facts, rms=None)
        # Whether any pixel can be read is known early, and not when its noise is wanted.
        _read_pixel(image)
        return ImageFacts(**facts, rms=_measured(root, path, image) if measure else None)


def _measured(root: Path, path: Path, image: Any) -> float | None:  # noqa: ANN401  astropy has no types
    with ExitStack() as opened:
        beside = {kind: _beside(root, path, kind, opened) for kind in ("pb", "mask")}
        return measure_noise(image, beside["pb"], beside["mask"])


def _beside(root: Path, path: Path, kind: str, opened: ExitStack) -> Any:  # noqa: ANN401
    """Open what belongs to an image that is corrected for the primary beam; None if there is none, or no image."""
    plain = path.name.replace(".tt0.", ".")
    names = [plain.replace(".pbcor.", f".{kind}{term}.", 1) for term in (".tt0", "")]
    names.append(path.name.replace(".pbcor.", f".{kind}.", 1))
    for name in names if ".pbcor." in path.name else ():
        try:
            _, hdus = opened.enter_context(_opened(root, path.with_name(name)))
            return _image(hdus)
        except StorageUnavailable:
            raise  # not taken for missing: the noise would be another
        except (InvalidInput, LocalFilesError):
            continue
    return None


def check_compression(root: Path, path: Path) -> None:
    """Read an image to its end if its file is compressed as a whole: only there its checksum reveals damage.

    Args:
        root: the folder that is trusted: the run's directory.
        path: the file, below it.

    Raises:
        InvalidInput: it is damaged, or unpacks to more than an image may have.
        LocalFilesError: it cannot be read.
    """
    with _there(path), open_shared(root, path, PRODUCT) as file:
        if is_packed(file):
            for _ in unpacked(file):
                pass


@contextmanager
def _opened(root: Path, path: Path) -> Iterator[tuple[SharedFile, Any]]:
    from astropy.io import fits

    with (
        _there(path),
        open_shared(root, path, PRODUCT) as file,
        file.stream() as stream,
        # What astropy warns of is reported as an error below, or does not matter.
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        with _explained(path):
            # Not mapped into memory, where astropy scales no whole numbers; of sections no more is read.
            hdus = fits.open(stream, mode="readonly", memmap=False, lazy_load_hdus=True)
        try:
            yield file, hdus
        finally:
            hdus.close()


@contextmanager
def _there(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise LocalFilesError(f"{quoted(path, 300)} is not there: it was removed or renamed meanwhile.") from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what astropy says of a file that is no FITS into one sentence; the system's own errors are the disk's."""
    from astropy.io.fits import VerifyError

    try:
        with local_files(path):
            try:
                yield
            except OSError as error:
                # A place before the file's beginning is the header's fault.
                if error.errno not in {None, errno.EINVAL}:
                    raise
                raise ValueError(str(error)) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, EOFError, MemoryError) as bad:
        raise _broken(path, bad) from None
    except (VerifyError, zlib.error, lzma.LZMAError, ImportError) as bad:
        # Some compressions astropy reads only with packages that are not here.
        raise _broken(path, bad) from None
    except Exception as bad:
        # What unpacks the tiles of an image has a class of its own for what is damaged, which astropy keeps to itself.
        if type(bad).__name__ != "CfitsioException":
            raise
        raise _broken(path, bad) from None


def _broken(path: Path, why: Exception) -> InvalidInput:
    cause = " ".join(str(why).split()) or type(why).__name__
    return InvalidInput(f"{_named(path)} cannot be read as FITS ({quoted(cause, 120)}): make it again, or remove it.")


def _named(path: Path) -> str:
    return quoted(path, 600)[1:-1]


def _image(hdus: Any) -> Any:  # noqa: ANN401  astropy has no types
    for hdu in hdus:
        if hdu.is_image and int(hdu.header.get("NAXIS", 0)) >= 2:
            return hdu
    return None


def _check_whole(file: SharedFile, image: Any) -> None:  # noqa: ANN401
    """An image that was cut off has its whole header; of a compressed file, see check_compression."""
    path = file.path
    if path.suffix.lower() not in {".fits", ".fit", ".fts"}:
        return
    from astropy.io import fits

    # Of an image that is compressed inside the file the size is that of its pixels.
    place = image.fileinfo()
    size = place["datSpan"] if isinstance(image, fits.CompImageHDU) else image.size
    needed, found = place["datLoc"] + size, file.identity.size
    if found < needed:
        raise InvalidInput(
            f"{_named(path)} has been cut off: its header asks for {needed} bytes, and it has {found}; make it again."
        )


def _facts(name: str, header: Any, beam: Sequence[float | None]) -> dict[str, Any]:  # noqa: ANN401
    if header["BITPIX"] not in _BITPIX:
        raise ValueError(f"BITPIX is {header['BITPIX']}")
    in_name = _NAME.match(name)
    named = in_name.groupdict("") if in_name else {"field": "", "spw": "", "stokes": ""}
    axes = {str(header.get(f"CTYPE{axis}", "")).strip()[:4].upper(): axis for axis in range(3, _axes(header) + 1)}
    channels = max(
        [_length(header, axes[kind]) for kind in ("FREQ", "VRAD", "VELO", "VOPT") if kind in axes], default=1
    )
    return {
        "kind": _kind(PurePosixPath(name).name, channels),
        "field": _word(header, "OBJECT") or named["field"],
        "spw": _word(header, "SPW") or named["spw"].replace("_", ","),
        "stokes": (_stokes(header, axes["STOK"]) if "STOK" in axes else "") or named["stokes"],
        "beam_major_arcsec": beam[0],
        "beam_minor_arcsec": beam[1],
        "beam_pa_deg": beam[2],
        "unit": _word(header, "BUNIT"),
        "width": _length(header, 1),
        "height": _length(header, 2),
        "channels": channels,
        "rest_frequency_hz": _number(header, "RESTFRQ") or _number(header, "RESTFREQ"),
    }


def _kind(name: str, channels: int) -> str:
    parts = name.lower().split(".")
    beside = [part for part in _BESIDE if part in parts]
    return beside[0] if beside else CUBE if channels > 1 or CUBE in parts else CONTINUUM


def _beam(header: Any, hdus: Any) -> tuple[float | None, float | None, float | None]:  # noqa: ANN401
    major, minor, angle = (_number(header, key) for key in ("BMAJ", "BMIN", "BPA"))
    if major is not None and minor is not None:
        return _possible_beam(major * _ARCSEC_PER_DEGREE, minor * _ARCSEC_PER_DEGREE, angle)
    if not header.get("CASAMBM"):
        return None, None, None
    table = next((hdu for hdu in hdus if hdu.name == "BEAMS"), None)
    if table is None:
        return None, None, None
    return _median_beam(table)


def _median_beam(table: Any) -> tuple[float | None, float | None, float | None]:  # noqa: ANN401
    """Return the median of a table with a beam for each plane; its units are those of its columns (``TUNIT``)."""
    import numpy as np

    # CASA writes seconds of arc; the FITS convention wants degrees.
    widths = [_in_unit(table, column, "arcsec") for column in ("BMAJ", "BMIN")]
    angles = _in_unit(table, "BPA", "deg")
    if any(values is None for values in (*widths, angles)):
        return None, None, None
    major, minor = widths
    seen = np.isfinite(major) & np.isfinite(minor) & (major > 0) & (minor > 0)
    return _possible_beam(*(_median(values[seen]) for values in (major, minor, angles)))


def _in_unit(table: Any, column: str, unit: str) -> Any:  # noqa: ANN401
    """Return a column in that unit; None if its own is no unit of an angle."""
    import numpy as np
    from astropy import units

    written = table.columns[column].unit
    try:
        return np.asarray(table.data[column], dtype=np.float64) * units.Unit(written or unit).to(units.Unit(unit))
    except (ValueError, TypeError, units.UnitConversionError):
        return None


def _possible_beam(
    major: float | None, minor: float | None, angle: float | None
) -> tuple[float | None, float | None, float | None]:
    """Return the beam, or that there is none: some programs write 0 for one that is not known."""
    if any(width is None or not 0 < width <= _WIDEST_BEAM_ARCSEC for width in (major, minor)):
        return None, None, None
    return major, minor, angle


def _read_pixel(image: Any) -> None:  # noqa: ANN401
    image.section[tuple(slice(0, 1) for _ in image.shape)]


def _median(values: Any) -> float | None:  # noqa: ANN401
    import numpy as np

    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if finite.size else None


def _axes(header: Any) -> int:  # noqa: ANN401
    return int(header.get("NAXIS", 0))


def _length(header: Any, axis: int) -> int:  # noqa: ANN401
    # Of a compressed image these are the image's own; the table's are hidden by astropy.
    length = int(header[f"NAXIS{axis}"])
    if not 0 < length <= _LARGEST_AXIS:
        raise ValueError(f"NAXIS{axis} is {length}")
    return length


def _stokes(header: Any, axis: int) -> str:  # noqa: ANN401
    first, step, pixel = (_number(header, f"{key}{axis}") for key in ("CRVAL", "CDELT", "CRPIX"))
    if first is None:
        return ""
    codes = [
        round(first + (index + 1 - (1.0 if pixel is None else pixel)) * (1.0 if step is None else step))
        for index in range(min(_length(header, axis), len(_STOKES)))
    ]
    return "".join(_STOKES.get(code, "") for code in codes)


def _number(header: Any, key: str) -> float | None:  # noqa: ANN401
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _word(header: Any, key: str) -> str:  # noqa: ANN401
    value = header.get(key)
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return "".join(character for character in text if character.isprintable())[:_LONGEST_WORD]
