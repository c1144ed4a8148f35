"""Which MOUS a run images, and from which calibration: the same for every step of the run."""

from __future__ import annotations

from srdp.domain.archiving.mous import Mous
from srdp.domain.raw_data.linking import RawDataUnusable
from srdp.domain.runs.pipeline_run import RunDirectoryMissing
from srdp.hooks.archive import ArchiveHook
from srdp.services.context import RunContext
from srdp.services.processing.former_raw_data import former_raw_data


def record_mous(context: RunContext, mous: Mous) -> None:
    """Record what the archive says of a run's MOUS; what was recorded first stays.

    Args:
        context: the run.
        mous: what it images.
    """
    context.ledger.runs.record_mous(context.run_id, mous.as_json())


def mous_of_run(context: RunContext) -> Mous:
    """Return what a run images: what was recorded of it, else that of :func:`mous_of_rerun` or what the archive says.

    So all steps of a run fetch, request and check the same ASDMs and the same calibration, whatever the archive is
    given meanwhile.

    Args:
        context: the run; it is recorded in the ledger if it was not.

    Raises:
        InvalidInput: the archive has no such MOUS.
        ServiceUnavailable: the archive cannot be reached.
    """
    known = _recorded(context)
    if known is None:
        former_run = context.run.former_run
        if former_run:
            mous = mous_of_rerun(context.of_run(context.ledger.runs.get(former_run)))
        else:
            mous = ArchiveHook(context.settings).mous(context.run.subject)
        record_mous(context, mous)
        known = _recorded(context)
    if known is None:  # pragma: no cover  it was recorded in this moment
        raise AssertionError("what was recorded is not there")
    return known


def mous_of_rerun(former: RunContext) -> Mous:
    """Return what a rerun images: what the run before it did, which it is compared with, if its raw data are there.

    Else they are fetched again, and with them the newest calibration: the former one may be why the run was discarded
    or could not be fetched.

    Args:
        former: the run that is repeated.

    Raises:
        InvalidInput: the archive has no such MOUS.
        ServiceUnavailable: the archive cannot be reached.
    """
    try:
        former_raw_data(former)
    except (RawDataUnusable, RunDirectoryMissing):
        return ArchiveHook(former.settings).mous(former.run.subject)
    return mous_of_run(former)


def _recorded(context: RunContext) -> Mous | None:
    known = context.ledger.runs.get(context.run_id).mous
    return None if known is None else Mous.from_json(known)
