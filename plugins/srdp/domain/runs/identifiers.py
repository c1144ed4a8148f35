"""The parsers for identifiers that come from outside: one function for each, which returns a typed value.

Identifiers become paths, SQL parameters, mail headers, URLs and job names. Nothing that did not pass its
parser here is used for any of these.
"""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import NewType

from srdp.domain.common.errors import InvalidInput, quoted

ExecutionBlockName = NewType("ExecutionBlockName", str)
Locator = NewType("Locator", str)
MousUid = NewType("MousUid", str)
AsdmUid = NewType("AsdmUid", str)
PipelineRunId = NewType("PipelineRunId", str)

# An EB name becomes part of file names such as <EB>.ms.flagversions.tgz and of a DAG run id (250 characters).
_LONGEST_EXECUTION_BLOCK_NAME = 128

# The patterns hold in Python and in the forms of a browser alike.
#: NRAO's name of an execution block: project code (which may hold dots), scheduling block, execution block, MJD.
EXECUTION_BLOCK_PATTERN = r"^([A-Za-z0-9_.-]+?)\.sb[0-9]+\.eb[0-9]+\.[0-9]{5}\.[0-9]+$"
#: The archive's key of an execution block.
LOCATOR_PATTERN = r"^uid://evla/execblock/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
#: An ALMA member observing unit set.
MOUS_PATTERN = r"^uid://A[0-9]{3}/X[0-9a-fA-F]+/X[0-9a-fA-F]+$"
#: A project code.
PROJECT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
#: What the pipeline run IDs of a family begin with, for example ``vla``.
FAMILY_NAME_PATTERN = r"[a-z][a-z0-9]{1,11}"
#: A pipeline run ID; see :func:`new_pipeline_run_id`. Whether there is a family that it can be of, the registry knows.
PIPELINE_RUN_ID_PATTERN = rf"^{FAMILY_NAME_PATTERN}-[0-9]{{8}}-[0-9]{{6}}-[0-9a-hjkmnp-tv-z]{{4}}$"

_EXECUTION_BLOCK = re.compile(EXECUTION_BLOCK_PATTERN)
_LOCATOR = re.compile(LOCATOR_PATTERN)
_MOUS = re.compile(MOUS_PATTERN)
_PROJECT = re.compile(PROJECT_PATTERN)
_PIPELINE_RUN_ID = re.compile(PIPELINE_RUN_ID_PATTERN)
_ANY_LOCATOR = re.compile(r"uid://[A-Za-z0-9]+(?:/[A-Za-z0-9_-]+){1,4}", re.ASCII)
# Crockford's base 32: no letter that is taken for a digit when it is read aloud.
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def execution_block_name(value: object) -> ExecutionBlockName:
    """Return the value as the name of a VLA execution block.

    Raises:
        InvalidInput: it is not text of that form, is too long, or holds what could leave a directory.
    """
    if (
        isinstance(value, str)
        and len(value) <= _LONGEST_EXECUTION_BLOCK_NAME
        and ".." not in value
        and not value.startswith((".", "-"))
        and _EXECUTION_BLOCK.fullmatch(value)
    ):
        return ExecutionBlockName(value)
    raise InvalidInput(
        f"{quoted(value)} is not the name of a VLA execution block: give it as the archive shows it, for example "
        "13A-537.sb24066356.eb24324502.56514.05971091435."
    )


def project_of(name: ExecutionBlockName) -> str:
    """Return the project code that an execution block's name begins with, for example ``13A-537``."""
    match = _EXECUTION_BLOCK.fullmatch(name)
    if match is None:
        raise InvalidInput(f"{quoted(name)} is not the name of a VLA execution block.")
    return match[1]


def project_code(value: object) -> str:
    """Return the value as a project code, for example ``13A-537`` or ``VLASS2.1``.

    Raises:
        InvalidInput: it is not text of that form.
    """
    if isinstance(value, str) and ".." not in value and _PROJECT.fullmatch(value):
        return value
    raise InvalidInput(f"{quoted(value)} is not a project code: give it as the archive shows it, for example 13A-537.")


def locator(value: object) -> Locator:
    """Return the value as the archive's locator of a VLA execution block.

    Raises:
        InvalidInput: it is not text of the form ``uid://evla/execblock/<uuid>``.
    """
    if isinstance(value, str) and _LOCATOR.fullmatch(value):
        return Locator(value)
    raise InvalidInput(
        f"{quoted(value)} is not the locator of a VLA execution block: it has the form "
        f"uid://evla/execblock/{uuid.UUID(int=0)}, in lower case."
    )


def archive_locator(value: object) -> Locator:
    """Return the value as the archive's locator of anything that has files: an EB, an ASDM, a calibration.

    Raises:
        InvalidInput: it is not text of the form ``uid://...``.
    """
    if isinstance(value, str) and len(value) <= 128 and _ANY_LOCATOR.fullmatch(value):
        return Locator(value)
    raise InvalidInput(
        f"{quoted(value)} is not a locator of the archive: it has a form such as uid://A002/X85c183/X36f."
    )


def mous_uid(value: object) -> MousUid:
    """Return the value as the UID of an ALMA member observing unit set.

    Raises:
        InvalidInput: it is not text of the form ``uid://A001/X1288/X3f``.
    """
    if isinstance(value, str) and len(value) <= 64 and _MOUS.fullmatch(value):
        return MousUid(value)
    raise InvalidInput(f"{quoted(value)} is not the UID of an ALMA MOUS: it has the form uid://A001/X1288/X3f.")


def disk_name(uid: str) -> str:
    """Return what ALMA calls the directory or the files of a UID, for example ``uid___A001_X1288_X3f``.

    The UID cannot be made from it again: keep both.

    Args:
        uid: of a MOUS or an ASDM.
    """
    return uid.replace(":", "_").replace("/", "_")


def asdm_uid(value: object) -> AsdmUid:
    """Return the value as the UID of an ALMA ASDM, the data of one execution.

    Raises:
        InvalidInput: it is not text of the form ``uid://A002/X85c183/X36f``.
    """
    if isinstance(value, str) and len(value) <= 40 and _MOUS.fullmatch(value):
        return AsdmUid(value)
    raise InvalidInput(f"{quoted(value)} is not the UID of an ALMA ASDM: it has the form uid://A002/X85c183/X36f.")


def pipeline_run_id(value: object) -> PipelineRunId:
    """Return the value as a pipeline run ID.

    Raises:
        InvalidInput: it is not text of the form ``vla-20261122-182453-4f7k``.
    """
    if isinstance(value, str) and _PIPELINE_RUN_ID.fullmatch(value):
        return PipelineRunId(value)
    raise InvalidInput(
        f"{quoted(value)} is not a pipeline run ID: copy it from the mail or from the name of the run's directory, "
        "for example vla-20261122-182453-4f7k."
    )


def new_pipeline_run_id(family: str, now: datetime | None = None) -> PipelineRunId:
    """Return a pipeline run ID that has not been given before.

    It is short, sorts by time within its family, needs no quoting in a shell, a path or a URL, and is what the
    run's directory is called. The four last characters keep apart runs of one second; the ledger's primary
    key refuses the collision that remains possible, and the caller then asks again.

    Args:
        family: ``vla`` or ``alma``.
        now: the time of the request, in any zone; the present if it is not given.
    """
    when = (now or datetime.now(UTC)).astimezone(UTC)
    tail = "".join(secrets.choice(_BASE32) for _ in range(4))
    return pipeline_run_id(f"{family}-{when:%Y%m%d-%H%M%S}-{tail}")
