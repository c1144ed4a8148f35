"""The archive's keys of results, derived from the run and the number of its ingest."""

from __future__ import annotations

import re
import uuid
from typing import NewType

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id

ResultLocator = NewType("ResultLocator", str)

#: The kinds of result; the names of the archive's tables, too.
CALIBRATION, IMAGE_SET = "calibration", "image_set"

# Made up, and never to be changed: results are found again by what is derived from it.
_RESULTS = uuid.UUID("a2c94a0e-5d0b-4f0e-9a55-8a5a4d1c7b3e")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: What a result's key begins with: the telescope, and the archive's table.
RESULT_PATTERN = rf"uid://[a-z][a-z0-9]{{0,15}}/({CALIBRATION}|{IMAGE_SET})/"
_RESULT_LOCATOR = re.compile(rf"{RESULT_PATTERN}{_UUID}")


def result_locator(begins: str, run_id: PipelineRunId, number: int) -> ResultLocator:
    """Return the archive's key of the calibration or image set that an ingest makes; the same forever.

    Args:
        begins: what the keys of the results of its family begin with, for example ``uid://evla/calibration/``.
        run_id: the run.
        number: the ingest's number; a further ingest of the run, after a withdrawal, makes another result.
    """
    if number < 1:
        raise InvalidInput(f"{number} is not the number of an ingest, which begins with 1.")
    name = f"{pipeline_run_id(run_id)} {number}"
    return ResultLocator(f"{begins}{uuid.uuid5(_RESULTS, name)}")


def known_result_locator(value: object) -> ResultLocator:
    """Return the value as the locator of a calibration or an image set.

    Raises:
        InvalidInput: it is not text of the form ``uid://evla/calibration/<uuid>`` or ``uid://alma/image_set/<uuid>``.
    """
    if isinstance(value, str) and _RESULT_LOCATOR.fullmatch(value):
        return ResultLocator(value)
    raise InvalidInput(
        f"{quoted(value)} is not the locator of a calibration: it has the form "
        f"uid://evla/calibration/{uuid.UUID(int=0)}, in lower case, and that of an image set uid://alma/image_set/..."
    )


def kind_of_result(value: ResultLocator) -> str:
    """Return whether it is a :data:`CALIBRATION` or an :data:`IMAGE_SET` that has this locator."""
    match = _RESULT_LOCATOR.fullmatch(known_result_locator(value))
    return match[1] if match else IMAGE_SET
