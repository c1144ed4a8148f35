"""The files of flag commands: which of them each pipeline reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from srdp.domain.analyst_files.names import FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.common.lint import Finding


@dataclass(frozen=True, kw_only=True)
class FlagTemplate:
    """Which file of flag commands a pipeline reads, and which it does not.

    Attributes:
        name: the file's name, as people use it.
        unread: the name of the file that it passes over, with whatever stands before it.
        unread_problem: the message about that one.
        unread_fix: what to do instead.
        column_problem: the message about a column that the data do not have when the flags are applied.
        column_fix: what to do instead.
    """

    name: str
    unread: str
    unread_problem: str
    unread_fix: str
    column_problem: str
    column_fix: str

    def passes_over(self, name: str) -> bool:
        """Return whether a file's name or path is that of the file which the pipeline does not read."""
        return PurePosixPath(name).name.endswith(self.unread)

    def passed_over(self, file: str) -> Finding:
        """Return the finding that a file would not be read."""
        return Finding(file, 1, 1, PurePosixPath(file).name, self.unread_problem, self.unread_fix)


#: What a calibration of the VLA reads: flags of everything, applied before anything is calibrated.
VLA_FLAGS: Final = FlagTemplate(
    name=FLAG_TEMPLATE,
    unread=TARGET_FLAGS,
    unread_problem="is not read by the VLA pipeline",
    unread_fix="put target flags into flagtemplate.txt",
    column_problem="is a column that the data have only once they are calibrated",
    column_fix="write 'data' if the flags are applied before that",
)
#: What an imaging of ALMA data reads: flags of the targets, applied to their calibrated data, split from all others.
ALMA_TARGET_FLAGS: Final = FlagTemplate(
    name=TARGET_FLAGS,
    unread=FLAG_TEMPLATE,
    unread_problem="is not read when ALMA data are imaged: their calibration is restored as it was",
    unread_fix="put flags of the targets into flagtargetstemplate.txt",
    column_problem="is a column that the targets' data do not have, as they were split from the others",
    column_fix="write 'data', which there holds the calibrated data",
)


def holds_commands(content: bytes) -> bool:
    """Return whether a file has more than comments: CASA itself leaves templates that have nothing else.

    Args:
        content: the file's bytes.
    """
    return any(line.strip() and not line.strip().startswith(b"#") for line in content.splitlines())
