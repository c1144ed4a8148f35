"""What CASA itself left in the place of an analyst's files: into the ledger, so that an edit of it can be detected."""

from __future__ import annotations

import logging

from srdp.domain.analyst_files.submitted import BY_CASA
from srdp.domain.common.errors import SrdpError
from srdp.domain.disk.staging import read_staged, staged_names, subject_of_run
from srdp.domain.runs.ledger_records import SubmittedFile
from srdp.services.context import RunContext

log = logging.getLogger(__name__)


def record_what_casa_left(context: RunContext) -> None:
    """Record the files in the place of an analyst's that CASA itself wrote: a run that was given none has read those.

    Without it, it would not be known later whether an analyst has edited them. What the run was given stays, and so
    does what was recorded before: a file that is there since may be edited by now.

    Args:
        context: a run whose CASA job was started and no longer lives.

    Raises:
        RunDirectoryMissing: the run has no directory.
        InvalidInput: something else than a file is there, or the run's PPR cannot be read.
    """
    ledger, run = context.ledger, context.run
    working = context.directory().working
    given = ledger.submitted_files.of_run(run.pipeline_run_id)
    inputs = context.family.inputs
    subject = subject_of_run(inputs, run, given)
    for name, stage in inputs.left_by_casa.items():
        if name in given:
            continue
        for staged in staged_names(subject, name):
            content = read_staged(working.parent, working / staged)
            if content is not None:
                file = SubmittedFile(name=name, content=content, source=f"{BY_CASA}{stage}")
                ledger.submitted_files.record(run.pipeline_run_id, file)


def try_to_record_what_casa_left(context: RunContext) -> None:
    """Record it of a run that has failed, whose failure must be reported whether or not this can be done.

    Args:
        context: see :func:`record_what_casa_left`; the log says what could not be recorded.
    """
    try:
        record_what_casa_left(context)
    except (SrdpError, OSError) as error:
        # A rerun takes CASA's files for the analyst's then, and loses nothing.
        log.warning("What CASA left of %s could not be recorded: %s", context.run_id, error)
