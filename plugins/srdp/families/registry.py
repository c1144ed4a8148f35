"""The families that there are, looked up by what a step has at hand: a kind, a pipeline run ID, a DAG."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from srdp.domain.archiving.result_locators import RESULT_PATTERN
from srdp.domain.common.errors import InvalidInput, SettingsError, quoted
from srdp.domain.runs.identifiers import FAMILY_NAME_PATTERN, pipeline_run_id
from srdp.families.protocol import required_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from srdp.domain.archiving.result_locators import ResultLocator
    from srdp.domain.retention.kinds import Kind
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.families.protocol import Family

_F = TypeVar("_F", bound="Family")
_registered: dict[str, Family] = {}


class IncompleteFamily(SettingsError):
    """A family lacks a required attribute, or contradicts another; it is not registered."""


def register(family: type[_F]) -> _F:
    """Register a family, and return it.

    Args:
        family: its class.

    Raises:
        IncompleteFamily: the sentence names everything that is missing, and what it is.
    """
    missing = [f"{name} ({what.rstrip('.')})" for name, what in required_attributes().items() if not _has(family, name)]
    where = f"{family.__module__}.{family.__qualname__}"
    if missing:
        raise IncompleteFamily(f"The family {where} is incomplete. It lacks {'; '.join(missing)}.")
    made = family()
    faults = [*_faults(made)]
    if faults:
        raise IncompleteFamily(f"The family {where} cannot be registered: {'; '.join(faults)}.")
    _registered[made.kind] = made
    return made


def forget(family: Family) -> None:
    """Unregister a family; only tests do."""
    del _registered[family.kind]


def load(modules: Iterable[str]) -> None:
    """Import the packages of further families, which register them.

    Args:
        modules: their names, or the folders of packages that are not on Python's path.

    Raises:
        SettingsError: there is no such module.
        IncompleteFamily: see :func:`register`.
    """
    for name in modules:
        try:
            if name.startswith("/"):
                sys.path.append(str(Path(name).parent))
            import_module(Path(name).name)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"SRDP_FAMILIES names {quoted(name)}, which cannot be imported ({error}): name a package in "
                "plugins/, or the folder of one."
            ) from None


def families() -> tuple[Family, ...]:
    """Return all families, in the order in which they were registered."""
    return tuple(_registered.values())


def family_of(kind: str) -> Family:
    """Return the family of a kind of request, for example of ``alma_imaging``.

    Raises:
        InvalidInput: there is none of that kind.
    """
    return _the(kind, "kind of request", (family for family in families() if family.kind == kind))


def family_of_run(run_id: PipelineRunId) -> Family:
    """Return the family of a run, by the beginning of its ID.

    Raises:
        InvalidInput: there is none whose IDs begin so.
    """
    name = run_id.partition("-")[0]
    return _the(run_id, "run", (family for family in families() if family.name == name))


def family_of_dag(dag_id: str) -> Family:
    """Return the family that a DAG belongs to, for example of ``alma_rerun``.

    Raises:
        InvalidInput: it belongs to none.
    """
    return _the(dag_id, "DAG", (family for family in families() if dag_id in family.dags))


def result_locator(run_id: PipelineRunId, number: int) -> ResultLocator:
    """Return the archive's key of the result of an ingest; it never changes.

    Args:
        run_id: the run.
        number: the ingest's number; a further ingest of the run, after a withdrawal, makes another result.
    """
    from srdp.domain.archiving import result_locators

    begins = family_of_run(pipeline_run_id(run_id)).result_locator
    return result_locators.result_locator(begins, run_id, number)


def retention_kinds() -> tuple[Kind, ...]:
    """Return every kind of thing that expires; nothing else is ever removed."""
    from srdp.domain.retention.kinds import MEASUREMENT_SETS

    return (*(kind for family in families() for kind in family.retention), MEASUREMENT_SETS)


def _the(name: str, what: str, found: Iterator[Family]) -> Family:
    family = next(found, None)
    if family is None:
        known = ", ".join(each.kind for each in families())
        raise InvalidInput(f"No family of requests has the {what} {quoted(name)}: there are {known}.")
    return family


def _has(family: type[Family], name: str) -> bool:
    member = getattr(family, name, None)
    return hasattr(family, name) and not getattr(member, "__isabstractmethod__", False)


def _faults(family: Family) -> Iterator[str]:
    """Yield the contradictions of a family with itself or another."""
    if not re.fullmatch(FAMILY_NAME_PATTERN, family.name):
        yield f"its name {quoted(family.name)} is not of the form {FAMILY_NAME_PATTERN}"
    others = [other for other in families() if type(other) is not type(family)]
    for what, own, taken in (
        ("name", [family.name], [other.name for other in others]),
        ("DAG", family.dags, [dag for other in others for dag in other.dags]),
        (
            "kind of thing that is kept",
            [kind.name for kind in family.retention],
            [kind.name for other in others for kind in other.retention],
        ),
    ):
        yield from (f"another family has the {what} {quoted(each)} too" for each in own if each in taken)
    if not re.fullmatch(RESULT_PATTERN, family.result_locator):
        yield f"its result_locator {quoted(family.result_locator)} is not of the form {RESULT_PATTERN}"
    if family.inputs.flag_template.name not in family.inputs.files:
        yield f"its flag template {family.inputs.flag_template.name} is none of its files"
    without = {*family.dags} - {form.dag_id for form in family.forms()}
    if without:
        yield f"it has no form for {' and '.join(sorted(without))}"
