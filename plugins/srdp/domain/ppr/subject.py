"""What a pipeline run works on, as its files name it: one VLA execution block, or one ALMA MOUS with its ASDMs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.ppr.inputs import PipelineInputs
from srdp.domain.runs.identifiers import AsdmUid, asdm_uid, disk_name

_DISK_NAME = re.compile(r"uid___A[0-9]{3}_X[0-9a-fA-F]+_X[0-9a-fA-F]+")
# So that the ledger can name an ASDM's own file by it.
_LONGEST_DISK_NAME = 40


@dataclass(frozen=True)
class Asdm:
    """The data of one execution of an ALMA MOUS.

    Attributes:
        uid: for example ``uid://A002/X85c183/X36f``.
        disk_name: the name of its directory in ``rawdata/``, for example ``uid___A002_X85c183_X36f``.
    """

    uid: AsdmUid
    disk_name: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a run works on.

    Attributes:
        inputs: what the pipeline is given for runs of its family.
        name: the EB's name, or the MOUS's UID.
        project: the project code; empty if it is not known.
        asdms: the MOUS's ASDMs; none for a VLA execution block.
        fields: the names of the fields that are imaged; none if they are not known.
        sessions: ASDM's UID -> number of the session in which the calibration that is restored has it; those that are
            known.
    """

    inputs: PipelineInputs
    name: str
    project: str = ""
    asdms: tuple[Asdm, ...] = ()
    fields: tuple[str, ...] = ()
    sessions: Mapping[str, int] = field(default_factory=dict)

    @property
    def measurement_sets(self) -> tuple[str, ...]:
        """The names that CASA's files of its data begin with: the EB's, or those of the ASDMs on disk."""
        return tuple(asdm.disk_name for asdm in self.asdms) if self.inputs.of_asdms else (self.name,)


def asdm(uid: object, on_disk: object = None) -> Asdm:
    """Return an ASDM by its UID.

    Args:
        uid: its UID.
        on_disk: the name of its directory; that which ALMA makes of the UID if it is not given.

    Raises:
        InvalidInput: one of them is not text of its form.
    """
    checked = asdm_uid(uid)
    return Asdm(checked, disk_name(checked) if on_disk is None else asdm_disk_name(on_disk))


def asdm_disk_name(value: object) -> str:
    """Return the value as the name of an ASDM's directory.

    Raises:
        InvalidInput: it is not text of the form ``uid___A002_X85c183_X36f``.
    """
    if isinstance(value, str) and len(value) <= _LONGEST_DISK_NAME and _DISK_NAME.fullmatch(value):
        return value
    raise InvalidInput(
        f"{quoted(value)} is not the name of an ASDM's directory: it has the form uid___A002_X85c183_X36f."
    )
