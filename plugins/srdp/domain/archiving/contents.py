"""What is archived of the runs of a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The kinds of file that an ingest puts into NGAS, as the archive calls them; the last two are those of images.
CALIBRATION: Final = "calibration"
ASSOCIATED: Final = "associated"
WEBLOG: Final = "weblog"
SCIENCE: Final = "science"
ANCILLARY: Final = "ancillary"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is archived of the runs of a family.

    Attributes:
        kinds: the kinds of the files that are put into NGAS, in the order in which they are. The first is that of the
            tar of all products that are neither FITS nor the unpacked weblog.
        images: whether the FITS files are archived, each as it is; if not, the tar must suffice for a restore.
        template: the flag template that belongs to a run, as analysts call it.
        templates_read: what CASA calls it in ``working/``, as a shell pattern; ``{subject}`` is the subject's name.
        report: the name under which the analyst's report is put into the weblog as a file; None if only its words are.
        calibrates: whether the subject gets a calibration status in the archive, and its measurement set is kept for
            users.
    """

    kinds: tuple[str, ...]
    images: bool
    template: str
    templates_read: str
    report: str | None
    calibrates: bool

    @property
    def tar(self) -> str:
        """The kind of the tar."""
        return self.kinds[0]
