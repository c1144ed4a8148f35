"""Which MOUS a run images, and from which calibration: the same for every step of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from srdp.domain.archiving.mous import Mous
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings

#: The event by which the ledger knows what the archive said of a run's MOUS.
_KNOWN: Final = "mous_read"


def record_mous(ledger: LedgerHook, run: PipelineRun, mous: Mous) -> None:
    """Record what the archive says of a run's MOUS; what was recorded first stays.

    Args:
        ledger: where it is recorded.
        run: the run.
        mous: what it images.
    """
    ledger.record(run.pipeline_run_id, _KNOWN, {"mous": mous.as_json()}, once=True)


def mous_of_run(settings: Settings, ledger: LedgerHook, run: PipelineRun) -> Mous:
    """Return what a run images: what was recorded of it, else that of :func:`mous_of_rerun` or what the archive says.

    So all steps of a run fetch, request and check the same ASDMs and the same calibration, whatever the archive is
    given meanwhile.

    Args:
        settings: the archive and the areas.
        ledger: where it was recorded, and is if it was not.
        run: the run.

    Raises:
        InvalidInput: the archive has no such MOUS.
        ServiceUnavailable: the archive cannot be reached.
    """
    from srdp.hooks.archive import ArchiveHook

    known = _recorded(ledger, run)
    if known is None:
        former = ledger.run(run.former_run) if run.former_run else None
        mous = mous_of_rerun(settings, ledger, former) if former else ArchiveHook(settings).mous(run.subject)
        record_mous(ledger, run, mous)
        known = _recorded(ledger, run)
    if known is None:  # pragma: no cover  it was recorded in this moment
        raise AssertionError("what was recorded is not there")
    return known


def mous_of_rerun(settings: Settings, ledger: LedgerHook, former: PipelineRun) -> Mous:
    """Return what a rerun images: what the run before it did, which it is compared with, if its raw data are there.

    Else they are fetched anew, and with them the newest calibration: the former one may be why the run was thrown away
    or could not be fetched.

    Args:
        settings: the archive and the areas.
        ledger: the runs.
        former: the run that is repeated.

    Raises:
        InvalidInput: the archive has no such MOUS.
        ServiceUnavailable: the archive cannot be reached.
    """
    from srdp.domain.raw_data.linking import RawDataUnusable
    from srdp.domain.runs.pipeline_run import RunDirectoryMissing
    from srdp.hooks.archive import ArchiveHook
    from srdp.operators.former_raw_data import former_raw_data

    try:
        former_raw_data(settings, ledger, former)
    except (RawDataUnusable, RunDirectoryMissing):
        return ArchiveHook(settings).mous(former.subject)
    return mous_of_run(settings, ledger, former)


def _recorded(ledger: LedgerHook, run: PipelineRun) -> Mous | None:
    from srdp.domain.archiving.mous import Mous

    for event in ledger.events(run.pipeline_run_id):
        if event.event == _KNOWN:
            return Mous.from_json(event.details["mous"])
    return None
