"""What CASA has written about its end: the stage that ran, the pipeline's error, the ends of its log and stderr.

CASA's log is in the run's ``working/``. What ends CASA before the pipeline begins, or outside of a stage, is only in
what the job wrote to its standard error: an ``ImportError`` of the runner, a ``TypeError`` in the PPR's summary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srdp.domain.casa.log import EndOfLog, describe_stage, end_of_log, tail_of_log
from srdp.domain.common.errors import SrdpError
from srdp.domain.files.spool_files import open_in_spool, spool_folder
from srdp.domain.files.storage import LocalFilesError, storage_error
from srdp.domain.ppr.document import read_processing_request
from srdp.domain.runs.pipeline_run import RunDirectory

_LOG_LINES = 20
_STDERR_LINES = 15


@dataclass(frozen=True)
class CasaEnd:
    """What CASA has written about its end; each line is printable.

    Attributes:
        stage: the stage that ran last, with its place in the PPR.
        error: the pipeline's error, from its first line to the exception; none if no stage failed.
        log: the log's path; None if there is none.
        log_tail: the log's last lines, or the one sentence that says why it was not read.
        stderr: the job's last lines on its standard error, where the log has no error of a stage; else none.
    """

    stage: str
    error: tuple[str, ...]
    log: Path | None
    log_tail: tuple[str, ...]
    stderr: tuple[str, ...]


def read_casa_end(directory: RunDirectory, stderr: Path) -> CasaEnd:
    """Return what CASA has written about its end; the reason replaces what cannot be read.

    Args:
        directory: the run's directory, at its present place.
        stderr: the file that holds the job's standard error, in the job's folder of records; it need not be there.
    """
    try:
        end = end_of_log(directory, _LOG_LINES)
    except LocalFilesError as error:
        end = EndOfLog(tail=(str(error),))
    return CasaEnd(
        stage=describe_stage(end.stage, _commands(directory)),
        error=end.error,
        log=end.log,
        log_tail=end.tail,
        stderr=() if end.error else _end_of(stderr),
    )


def _end_of(stderr: Path) -> tuple[str, ...]:
    folder = stderr.parent
    try:
        with spool_folder(folder.parents[1], folder.parent.name, folder.name) as descriptor:
            os.close(open_in_spool(descriptor, stderr, os.O_RDONLY))
        return tail_of_log(folder, stderr, _STDERR_LINES)
    except FileNotFoundError:
        return ()
    except LocalFilesError as error:
        return (str(error),)
    except OSError as error:
        return (str(storage_error(error, f"{stderr} could not be read")),)


def _commands(directory: RunDirectory) -> Sequence[str]:
    try:
        return read_processing_request(directory).commands
    except (FileNotFoundError, SrdpError):
        return ()
