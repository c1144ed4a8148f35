"""Restores an archived calibration as its user would, from the tar and the SDM alone, and compares the visibilities.

What CASA does is done by CASA's own Python, as a process.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from srdp.domain.common.errors import SrdpError

HOME = Path(__file__).resolve().parents[2]

_CASA = HOME / "include" / "casa"
_SCRIPT = "*casa_piperestorescript.py"
_TIMEOUT_SECONDS = 600.0
_LAST_CHARACTERS = 1500
_EQUAL, _DIFFERENT = 0, 1


class RestoreFailed(SrdpError):
    """A calibration could not be restored, or not be compared."""


def casa_python() -> Path:
    """Return CASA's Python: ``SRDP_CASA_PYTHON``, or the one that ``make install`` made."""
    return Path(os.environ.get("SRDP_CASA_PYTHON") or HOME / ".venv-casa" / "bin" / "python").absolute()


def restore_from_tar(tar: Path, sdm: Path, empty: Path, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Path:
    """Restores a calibration by the script that is in its tar.

    The tar is unpacked into ``products/``, ``rawdata/`` holds a link to the SDM, and CASA works in ``working/``.
    Nothing else is given to it, and nothing is written elsewhere.

    Args:
        tar: the calibration's tar, as NGAS keeps it.
        sdm: the SDM; its directory has the name of the execution block.
        empty: an empty directory, or one that is not there yet.
        timeout_seconds: how long CASA may take.

    Returns:
        The measurement set.

    Raises:
        RestoreFailed: the directory is not empty, the tar is not one of a calibration, or CASA failed.
    """
    empty.mkdir(parents=True, exist_ok=True)
    if any(empty.iterdir()):
        raise RestoreFailed(f"{empty} is not empty: a calibration is restored in an empty directory.")
    rawdata, products, working = (empty / name for name in ("rawdata", "products", "working"))
    for directory in (rawdata, products, working):
        directory.mkdir()
    _unpack(tar, products)
    (rawdata / sdm.name).symlink_to(sdm.resolve())
    scripts = sorted(products.glob(_SCRIPT))
    if len(scripts) != 1:
        raise RestoreFailed(f"{tar} must hold one {_SCRIPT}, it holds {len(scripts)}: it cannot be restored.")
    command = [str(_CASA / "casa"), "--nogui", "--nologger", "--agg", "--pipeline", "-c", str(scripts[0])]
    ended = _run(command, working, timeout_seconds)
    measurement_set = working / f"{sdm.name}.ms"
    if ended.returncode != 0 or not measurement_set.is_dir():
        raise RestoreFailed(f"CASA did not restore {tar} (exit status {ended.returncode}): {_last_words(ended)}")
    return measurement_set


def compare_visibilities(one: Path, other: Path, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> list[str]:
    """Return where two measurement sets differ, in sentences; none if they hold the same, bit for bit.

    Compared are the rows and their order, and in each row data, calibrated data, flags, weights and coordinates.

    Args:
        one: a measurement set.
        other: another.
        timeout_seconds: how long the comparison may take.

    Raises:
        RestoreFailed: they could not be compared.
    """
    script = _CASA / "compare_visibilities.py"
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:  # for CASA's log
        command = [str(casa_python()), "-P", "-W", "ignore", str(script), str(one.absolute()), str(other.absolute())]
        ended = _run(command, Path(scratch), timeout_seconds)
    sentences = ended.stdout.splitlines()
    # An exit status alone proves nothing: Python itself ends with 1 after an error, too.
    if ended.returncode != (_DIFFERENT if sentences else _EQUAL):
        raise RestoreFailed(f"{one} and {other} could not be compared: {_last_words(ended)}")
    return sentences


def _unpack(tar: Path, target: Path) -> None:
    try:
        with tarfile.open(tar, "r:") as stream:
            # Python before 3.11.4, as Debian 12 has it, knows no filter.
            stream.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            for member in stream:
                name = PurePosixPath(member.name)
                if member.issym():  # an analyst's; of what a restore needs, nothing is a link
                    continue
                if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                    raise RestoreFailed(f"{tar} holds {member.name!r}, which is no product of a calibration.")
                stream.extract(member, target)
    except (tarfile.TarError, OSError) as error:
        raise RestoreFailed(f"{tar} cannot be unpacked: {error}.") from None


def _run(command: list[str], directory: Path, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "SRDP_CASA_PYTHON": str(casa_python()),
        "CASASITECONFIG": str(_CASA / "casasiteconfig.py"),
    }
    # What stands beside this program is not to help: the restore must need nothing but CASA.
    environment.pop("PYTHONPATH", None)
    environment.pop("SCIPIPE_HEURISTICS", None)
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RestoreFailed(f"CASA was not done after {timeout_seconds:g} s in {directory}.") from None
    except OSError as error:
        raise RestoreFailed(f"{command[0]} could not be started: {error.strerror}.") from None


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    output = f"{ended.stdout}\n{ended.stderr}".strip()
    return output[-_LAST_CHARACTERS:] or "CASA said nothing."
