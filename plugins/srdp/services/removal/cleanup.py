"""Cleaning up a run that nobody needs on disk any more."""

from __future__ import annotations

import logging
from typing import Final

from srdp.domain.common.errors import Refused
from srdp.domain.runs.states import RunState, remedy_for
from srdp.services.context import RunContext, check_dag
from srdp.services.removal.remove_run import remove_run

log = logging.getLogger(__name__)

#: Kept until somebody decides, or until they expire: their raw data serve a rerun.
_NOT_DECIDED: Final = frozenset({RunState.FAILED, RunState.CANCELLED})


def clean_up(context: RunContext, dag_id: str) -> None:
    """Delete a run's directories, wherever they are: of an archived run only if the archive has it at this moment.

    Args:
        context: the run.
        dag_id: the DAG in which it is asked for.

    Raises:
        NotInArchive: the archive does not prove that it has the run; nothing was deleted, and the log says why.
        NotAllRemoved: something could not be deleted.
        Refused: the run's state does not allow it, its directory is not what was archived, or it is of the other
            family.
    """
    run = context.run
    check_dag(context.run_id, context.family.cleanup_dag, dag_id)
    if run.state is RunState.CLEANED:
        log.info("%s was cleaned up before: there is nothing to do.", run.pipeline_run_id)
        return
    if run.state in _NOT_DECIDED:
        raise Refused(
            f"Pipeline run {run.pipeline_run_id} is {run.state} and is not cleaned up: {remedy_for(run.state)}. "
            "Otherwise it goes by itself when it expires."
        )
    remove_run(context)
