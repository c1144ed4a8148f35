"""A VLA execution block as the archive describes it, and whether it may be calibrated by itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.runs.identifiers import ExecutionBlockName, Locator, execution_block_name, locator

READY = "Ready"
CALIBRATED = "Calibrated"
DO_NOT_CALIBRATE = "Do Not Calibrate"

# A key of PostgreSQL's indices holds at most 2,704 bytes; no name of an EB is nearly as long as this.
_LONGEST_KEY_BYTES = 400


@dataclass(frozen=True, kw_only=True)
class ExecutionBlock:
    """One execution block.

    Attributes:
        locator: the archive's key.
        name: the EB name, which is also what its SDM directory is called.
        project: the project code, for example ``13A-537``.
        telescope: the telescope as the archive calls it, for example ``EVLA``.
        calibration_status: ``Ready``, ``Calibrated``, ``Do Not Calibrate``, or whatever else the archive knows.
        observed_start: when the observation began (UTC); None if the archive does not know.
        observed_end: when it ended (UTC); likewise.
        ingested_at: when it came into the archive (UTC).
    """

    locator: Locator
    name: ExecutionBlockName
    project: str
    telescope: str
    calibration_status: str
    observed_start: datetime | None
    observed_end: datetime | None
    ingested_at: datetime


@dataclass(frozen=True, kw_only=True)
class IngestedSdm:
    """A row of the archive that was not examined yet: an execution block, a system SDM, or something else.

    Attributes:
        locator: what the archive has as its locator; not checked.
        name: what it has as its name; not checked.
        calibration_status: what it has as its status; not checked.
        ingested_at: when it came into the archive (UTC).
    """

    locator: str
    name: str
    calibration_status: str
    ingested_at: datetime

    @property
    def ledger_key(self) -> str:
        """The name, or its replacement in the ledger where it is too long to be a key.

        A row that could not be remembered would be noticed forever and hold up all others.
        """
        if len(self.name.encode()) <= _LONGEST_KEY_BYTES:
            return self.name
        return f"{self.name[:80]}... (sha256 {hashlib.sha256(self.name.encode()).hexdigest()})"


class Decision(StrEnum):
    """What ``watch_observations`` does with an SDM; the value is what the ledger stores."""

    CALIBRATE = "calibrate"
    LEFT_ALONE = "left alone"


@dataclass(frozen=True)
class Verdict:
    """A decision with its reason, as a person reads it in the task's log."""

    decision: Decision
    reason: str


def verdict(sdm: IngestedSdm) -> Verdict:
    """Return whether an SDM is to be calibrated as soon as it is in the archive, and why.

    Only what is certain is calibrated: a science execution block whose status is ``Ready``. Whatever else there is is
    left alone with its reason; a person may still start its calibration.

    Args:
        sdm: the archive's row.
    """
    try:
        execution_block_name(sdm.name)
    except InvalidInput:
        return Verdict(
            Decision.LEFT_ALONE, "its name is not that of a science execution block; system SDMs are not calibrated"
        )
    try:
        locator(sdm.locator)
    except InvalidInput:
        return Verdict(Decision.LEFT_ALONE, f"its locator {quoted(sdm.locator)} does not have the form of a locator")
    status = sdm.calibration_status
    if status == READY:
        return Verdict(Decision.CALIBRATE, "newly ingested")
    if status == CALIBRATED:
        return Verdict(Decision.LEFT_ALONE, "the archive has it as Calibrated already")
    if status == DO_NOT_CALIBRATE:
        return Verdict(Decision.LEFT_ALONE, "it is marked Do Not Calibrate in the archive")
    return Verdict(
        Decision.LEFT_ALONE,
        f"its calibration status {quoted(status)} is not known here; start vla_calibration by hand if it is to be "
        "calibrated",
    )
