"""What CASA has written of its end: the stage that ran, the pipeline's error, the last lines of log and standard error.

CASA's log lies in the run's ``working/``. What ends CASA before the pipeline begins, or outside of a stage, is only in
what the job wrote to its standard error: an ``ImportError`` of the runner, a ``TypeError`` in the PPR's summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from srdp.domain.casa_log import describe_stage, find_casa_log, pipeline_error, running_stage, tail_of_log
from srdp.domain.errors import SrdpError
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.ppr import read_processing_request

_LOG_LINES = 20
_STDERR_LINES = 15


@dataclass(frozen=True)
class CasaSaid:
    """What CASA has written of its end; each line is printable.

    Attributes:
        stage: the stage that ran last, with its place in the PPR.
        error: the pipeline's error, from its first line to the exception; none if no stage failed.
        log: the log's path; None if there is none.
        log_tail: the log's last lines.
        stderr: the job's last lines on its standard error, where the log has no error of a stage; else none.
    """

    stage: str
    error: tuple[str, ...]
    log: Path | None
    log_tail: tuple[str, ...]
    stderr: tuple[str, ...]


def read_what_casa_said(directory: RunDirectory, stderr: Path) -> CasaSaid:
    """Return what CASA has written of its end; what cannot be read is left out.

    Args:
        directory: the run's directory, from where it lies now.
        stderr: the file that holds the job's standard error; it need not be there.
    """
    log, stage = find_casa_log(directory), None
    error: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    if log is not None:
        with suppress(OSError):
            tail, stage, error = tail_of_log(log, _LOG_LINES), running_stage(log), pipeline_error(log)
    if not error:
        with suppress(OSError):
            said = tail_of_log(stderr, _STDERR_LINES)
    return CasaSaid(stage=describe_stage(stage, _commands(directory)), error=error, log=log, log_tail=tail, stderr=said)


def _commands(directory: RunDirectory) -> Sequence[str]:
    try:
        return read_processing_request(directory.processing_request).commands
    except (OSError, SrdpError):
        return ()
