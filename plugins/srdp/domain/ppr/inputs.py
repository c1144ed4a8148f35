"""What the pipeline is given for the runs of one family: the dialect of the PPR, and which files stages read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from srdp.domain.analyst_files.flag_templates import FlagTemplate
from srdp.domain.analyst_files.names import AnalystFile


class PprDialect(StrEnum):
    """The two forms of a PPR, each with a reader of its own in the pipeline."""

    VLA = "vla"
    """One SDM; the names of the stages begin with ``hifv``."""

    ALMA = "alma"
    """The ASDMs of a MOUS in their sessions; ``hifa``."""


@dataclass(frozen=True, kw_only=True)
class PipelineInputs:
    """What the pipeline is given for the runs of one family.

    Attributes:
        kind: what is made, for example ``vla_calibration``; for the sentences.
        telescope: whose data they are, for example ``VLA``.
        dialect: the form of the PPR.
        of_asdms: whether the data are the ASDMs of the subject; else the subject is the one SDM itself.
        files: the name of a file, as people use it -> what there is to know of it. The PPR is the first.
        flag_template: which file of flag commands is read, and which is passed over.
        imaging_mode: the ``imaging_mode`` that ``hif_editimlist`` must be given; None if it needs none.
    """

    kind: str
    telescope: str
    dialect: PprDialect
    of_asdms: bool
    files: Mapping[str, AnalystFile]
    flag_template: FlagTemplate
    imaging_mode: str | None

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files that a run can be given, the PPR first, by the names that people use."""
        return tuple(self.files)

    @property
    def left_by_casa(self) -> Mapping[str, str]:
        """The files that CASA itself writes where an analyst's would lie, and what of CASA does.

        Not its templates of target flags, which hold no command and may differ from one ASDM to the next.
        """
        return {name: file.left_by_casa for name, file in self.files.items() if file.left_by_casa}
