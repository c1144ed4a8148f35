"""Which raw data of a former run a rerun may be given."""

from __future__ import annotations

from typing import Final

from srdp.domain.raw_data.linking import RawDataUnusable, check_raw_data
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.states import RunState
from srdp.services.context import RunContext

#: What was discarded is not built upon: after these a rerun's raw data come from NGAS.
_THROWN_AWAY: Final = frozenset({RunState.REJECTED, RunState.CLEANING, RunState.CLEANED})


def former_raw_data(former: RunContext) -> tuple[RunDirectory, list[FetchedFile]]:
    """Return where the raw data of a run are, and all of them, if they can be linked into the directory of a rerun.

    Args:
        former: the run that is repeated.

    Raises:
        RawDataUnusable: the run was discarded, its fetch was not complete, or a file is not what was recorded.
        RunDirectoryMissing: it has no directory.
    """
    run = former.run
    if run.state in _THROWN_AWAY:
        raise RawDataUnusable(f"The raw data of {run.pipeline_run_id} are not used again: that run is {run.state}.")
    directory = former.directory()
    files = former.ledger.fetched_files.of_run(run.pipeline_run_id)  # all or none: they are recorded in one transaction
    check_raw_data(directory, files)
    return directory, files
