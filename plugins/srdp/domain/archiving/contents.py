"""What is archived of the runs of each family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from srdp.domain.analyst_files.names import FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.analyst_files.submitted import QA_REPORT
from srdp.domain.archiving.image_products import ANCILLARY, SCIENCE
from srdp.domain.files.packing import Member
from srdp.domain.files.shared_folders import is_folder, list_shared
from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION
from srdp.domain.runs.pipeline_run import RunDirectory

#: The kinds of file that an ingest puts into NGAS, besides those of images.
CALIBRATION, ASSOCIATED, WEBLOG = "calibration", "associated", "weblog"


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


#: What is archived, by the kind of the request.
_CONTENTS: Final[Mapping[str, Contents]] = MappingProxyType(
    {
        VLA_CALIBRATION: Contents(
            kinds=(CALIBRATION, WEBLOG),
            images=False,
            template=FLAG_TEMPLATE,
            templates_read="{subject}.flagtemplate.txt",
            report=None,
            calibrates=True,
        ),
        ALMA_IMAGING: Contents(
            kinds=(ASSOCIATED, SCIENCE, ANCILLARY, WEBLOG),
            images=True,
            template=TARGET_FLAGS,
            templates_read="uid___A*.flagtargetstemplate.txt",
            report=QA_REPORT,
            calibrates=False,
        ),
    }
)


def contents_of(kind: str) -> Contents:
    """Return what is archived of the runs of a kind of request, for example of ``alma_imaging``."""
    return _CONTENTS[kind]


def templates_read(directory: RunDirectory, contents: Contents, subject: str) -> list[Member]:
    """Return the flag templates that CASA read, as members of the tar; none if there was none.

    Args:
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
    """
    found = list_shared(directory.root, directory.working, contents.templates_read.format(subject=subject))
    # A link or a pipe, too: CASA may have read it, and it is refused when it is packed.
    return [Member(path.name, path, directory.root) for path in found if not is_folder(directory.root, path)]
