"""Which MOUS a run images: read from the archive once, and the same for every step and every rerun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from srdp.domain.ledger_records import PipelineRun
    from srdp.domain.mous import Mous
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings

#: The event by which the ledger knows what the archive said of a run's MOUS.
_KNOWN: Final = "mous_read"


def record_mous(ledger: LedgerHook, run: PipelineRun, mous: Mous) -> None:
    """Records what the archive says of a run's MOUS; what was recorded first stays.

    Args:
        ledger: where it is recorded.
        run: the run.
        mous: what it images.
    """
    ledger.record(run.pipeline_run_id, _KNOWN, {"mous": mous.as_json()}, once=True)


def mous_of_run(settings: Settings, ledger: LedgerHook, run: PipelineRun) -> Mous:
    """Returns what a run images: what was recorded of it, or of the run that it repeats, else what the archive says.

    So all steps of a run fetch, request and check the same ASDMs and the same calibration, and a rerun those of the run
    that it is compared with, whatever the archive is given meanwhile.

    Args:
        settings: the archive.
        ledger: where it was recorded, and is if it was not.
        run: the run.

    Raises:
        InvalidInput: the archive has no such MOUS.
        ServiceUnavailable: the archive cannot be reached.
    """
    from srdp.hooks.archive import ArchiveHook

    known = _recorded(ledger, run)
    if known is None:
        record_mous(ledger, run, ArchiveHook(settings).mous(run.subject))
        known = _recorded(ledger, run)
    if known is None:  # pragma: no cover  it was recorded in this moment
        raise AssertionError("what was recorded is not there")
    return known


def _recorded(ledger: LedgerHook, run: PipelineRun) -> Mous | None:
    from srdp.domain.mous import Mous

    looked_at: PipelineRun | None = run
    while looked_at is not None:
        for event in ledger.events(looked_at.pipeline_run_id):
            if event.event == _KNOWN:
                return Mous.from_json(event.details["mous"])
        looked_at = ledger.run(looked_at.former_run) if looked_at.former_run else None
    return None
