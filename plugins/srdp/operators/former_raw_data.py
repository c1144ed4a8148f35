"""Which raw data of a former run a rerun may be given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from srdp.domain.raw_data.linking import RawDataUnusable, check_raw_data
from srdp.domain.runs.pipeline_run import find_run_directory
from srdp.domain.runs.states import RunState

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import FetchedFile, PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings

#: What was thrown away is not built upon: after these a rerun's raw data come from NGAS.
_THROWN_AWAY: Final = frozenset({RunState.REJECTED, RunState.CLEANING, RunState.CLEANED})


def former_raw_data(
    settings: Settings, ledger: LedgerHook, former: PipelineRun
) -> tuple[RunDirectory, list[FetchedFile]]:
    """Return where the raw data of a run lie, and all of them, if they can be linked into the directory of a rerun.

    Args:
        settings: the areas.
        ledger: where they are recorded.
        former: the run that is repeated.

    Raises:
        RawDataUnusable: the run was thrown away, its fetch was not complete, or a file is not what was recorded.
        RunDirectoryMissing: it has no directory.
    """
    if former.state in _THROWN_AWAY:
        raise RawDataUnusable(
            f"The raw data of {former.pipeline_run_id} are not used again: that run is {former.state}."
        )
    directory = find_run_directory(settings.areas, former.pipeline_run_id)
    files = ledger.fetched_files(former.pipeline_run_id)  # all or none: they are recorded in one transaction
    check_raw_data(directory, files)
    return directory, files
