"""What is written into the archive's database about a calibration, as values that can be stored as they stand."""

from __future__ import annotations

import re

from srdp.domain.errors import InvalidInput, quoted

_STATUS = re.compile(r"[A-Za-z][A-Za-z ]{0,63}", re.ASCII)


def calibration_status(value: object) -> str:
    """Returns the value as the calibration status of an execution block, for example ``Calibrated``.

    The archive may know statuses that are not known here, so their form is all that is checked.

    Raises:
        InvalidInput: it is not text of letters and blanks.
    """
    if isinstance(value, str) and _STATUS.fullmatch(value) and value == value.strip():
        return value
    raise InvalidInput(
        f"{quoted(value)} is not a calibration status: give letters and blanks, at most 64, for example Calibrated."
    )
