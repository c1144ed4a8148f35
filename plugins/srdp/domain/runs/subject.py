"""What a pipeline run works on, as its files name it: one VLA execution block, or one ALMA MOUS with its ASDMs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.runs.identifiers import (
    AsdmUid,
    ExecutionBlockName,
    asdm_uid,
    disk_name,
    execution_block_name,
    mous_uid,
    project_of,
)
from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION

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
        kind: what is made of it: ``vla_calibration`` or ``alma_imaging``.
        name: the EB's name, or the MOUS's UID.
        project: the project code; empty if it is not known.
        asdms: the MOUS's ASDMs; none for a VLA execution block.
        fields: the names of the fields that are imaged; none if they are not known.
        sessions: ASDM's UID -> number of the session in which the calibration that is restored has it; those that are
            known.
    """

    kind: str
    name: str
    project: str = ""
    asdms: tuple[Asdm, ...] = ()
    fields: tuple[str, ...] = ()
    sessions: Mapping[str, int] = field(default_factory=dict)

    @property
    def measurement_sets(self) -> tuple[str, ...]:
        """The names that CASA's files of its data begin with: the EB's, or those of the ASDMs on disk."""
        return (self.name,) if self.kind == VLA_CALIBRATION else tuple(asdm.disk_name for asdm in self.asdms)


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


def vla_subject(execution_block: object) -> Subject:
    """Return the subject of a calibration.

    Raises:
        InvalidInput: it is not the name of a VLA execution block.
    """
    name: ExecutionBlockName = execution_block_name(execution_block)
    return Subject(kind=VLA_CALIBRATION, name=name, project=project_of(name))


def alma_subject(mous: object, asdms: tuple[Asdm, ...], project: str = "") -> Subject:
    """Return the subject of an imaging.

    Args:
        mous: the MOUS's UID.
        asdms: its ASDMs, at least one.
        project: the project code; empty if it is not known.

    Raises:
        InvalidInput: it is not the UID of a MOUS, or there is no ASDM.
    """
    uid = mous_uid(mous)
    if not asdms:
        raise InvalidInput(f"No ASDM of {uid} is known: there is nothing that could be imaged.")
    return Subject(kind=ALMA_IMAGING, name=uid, project=project, asdms=asdms)
