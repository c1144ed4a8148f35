"""What CASA is given in ``working/``: the PPR and the analyst's files, under the names that the pipeline looks for.

A file has the name by which people know it (``flagtemplate.txt``) and one or more names in ``working/``
(``<EB>.flagtemplate.txt``), by the family of its pipeline.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from srdp.domain.antenna_positions import lint_antenna_positions
from srdp.domain.errors import InvalidInput, quoted
from srdp.domain.flag_commands import lint_flag_commands
from srdp.domain.flux_csv import lint_flux_densities
from srdp.domain.identifiers import ExecutionBlockName
from srdp.domain.ledger_records import VLA_CALIBRATION
from srdp.domain.lint import Report
from srdp.domain.ppr_lint import lint_processing_request
from srdp.domain.selections import Observed

#: What the PPR is called, by people, in ``working/`` and in the ledger.
PPR: Final = "PPR.xml"

# The linters refuse what is larger than this; here it only keeps a mistake out of the memory.
_LARGEST_BYTES: Final = 20_000_000

#: Kind of request -> the files of a run -> their names in ``working/``; ``{subject}`` is the subject's name.
_NAMES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        VLA_CALIBRATION: {
            PPR: (PPR,),
            "flagtemplate.txt": ("{subject}.flagtemplate.txt",),
            "flux.csv": ("flux.csv",),
            "antennapos.csv": ("antennapos.csv",),
        }
    }
)


def file_names(kind: str) -> tuple[str, ...]:
    """Returns which files a run of a kind can be given, the PPR first, by the names that people use.

    Args:
        kind: what is made, for example ``vla_calibration``.
    """
    return tuple(_NAMES[kind])


def staged_names(kind: str, name: str, subject: str) -> tuple[str, ...]:
    """Returns the names under which the pipeline looks for a file in ``working/``.

    Args:
        kind: what is made, for example ``vla_calibration``.
        name: the file's name as people use it.
        subject: the EB's name.

    Raises:
        InvalidInput: the pipeline of that kind reads no such file.
    """
    if name not in _NAMES[kind]:
        raise InvalidInput(f"{quoted(name)} is not read by {kind}: it reads {', '.join(_NAMES[kind])}.")
    return tuple(staged.format(subject=subject) for staged in _NAMES[kind][name])


def read_staged(place: Path) -> bytes | None:
    """Returns a file's bytes; None if there is none.

    Args:
        place: the file, in ``working/``.

    Raises:
        InvalidInput: something is there that is no regular file, or a file that is far too large.
    """
    try:
        # Not blocking, so that a pipe that somebody left there is seen and not waited for.
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _no_file(place) from None
        raise InvalidInput(f"{place} cannot be read ({error.strerror}): give this account the right.") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _no_file(place)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _LARGEST_BYTES:
        raise InvalidInput(f"{place} is larger than {_LARGEST_BYTES} bytes: put the file there that you meant.")
    return content


def lint_staged(contents: Mapping[str, bytes], *, execution_block: ExecutionBlockName, working: Path) -> Report:
    """Lints all files that a VLA calibration is given, one against the other where that can be.

    Args:
        contents: the files' bytes by the names that people use; the PPR among them.
        execution_block: the EB.
        working: the run's ``working/``, for the sentences.
    """
    called = {}
    for name in contents:
        (staged,) = staged_names(VLA_CALIBRATION, name, execution_block)
        called[name] = str(working / staged)
    return lint_files(contents, execution_block=execution_block, called=called)


def lint_files(
    contents: Mapping[str, bytes],
    *,
    execution_block: ExecutionBlockName,
    called: Mapping[str, str],
    observed: Observed | None = None,
    also_given: Collection[str] = (),
) -> Report:
    """Lints files of a VLA calibration, wherever they lie, one against the other where that can be.

    Args:
        contents: the files' bytes by the names that people use.
        execution_block: the EB.
        called: what the sentences call each of them: a path, for example.
        observed: what is known of the observation.
        also_given: further files, by name, that the PPR is to have readers for.
    """
    analyst_files = sorted({*contents, *also_given} - {PPR})
    linters: dict[str, Callable[[bytes, str], Report]] = {
        PPR: lambda content, file: lint_processing_request(
            content, execution_block=execution_block, file=file, analyst_files=analyst_files
        ),
        "flagtemplate.txt": lambda content, file: lint_flag_commands(content, file=file, observed=observed),
        "flux.csv": lambda content, file: lint_flux_densities(content, execution_block=execution_block, file=file),
        "antennapos.csv": lambda content, file: lint_antenna_positions(
            content, execution_block=execution_block, file=file, observed=observed
        ),
    }
    report = Report()
    for name, content in contents.items():
        report += linters[name](content, called[name])
    return report


def _no_file(place: Path) -> InvalidInput:
    return InvalidInput(f"{place} is not a regular file: remove it and try again.")
