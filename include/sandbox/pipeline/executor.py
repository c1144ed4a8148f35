"""Runs a PPR: the part that decides where, in which order, and what becomes of a failure.

As with the observatory's pipeline, a PPR that it can make nothing of does not change CASA's exit status, nor does a
stage of the VLA that fails. The trace is an empty file ``errorexit-<UTC>.txt`` in the working directory. A stage of
ALMA that fails raises behind it, so that CASA exits with 1; and a PPR whose texts are read as numbers where the
executor needs texts raises without any trace but what is printed.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.pipeline.context import Context, Directories, Stage, directories_of, now
from sandbox.pipeline.ppr import (
    BREAKPOINT,
    Command,
    ProcessingRequest,
    UndecodableRequestError,
    read_processing_request,
)
from sandbox.pipeline.results import SCORER_FAILED, Score, StageRecord, StageResult
from sandbox.pipeline.weblog.pages import write_weblog

#: Reads a PPR.
Read = Callable[[Path], ProcessingRequest]
#: What an observatory does beside writing the ``errorexit`` of a failed stage; is given that file.
OnFailure = Callable[[Context, Path], None]
# The executor itself says which data these take, whatever the PPR says.
_TAKE_DATA = ("_importdata", "_restoredata")
_DATA_PARAMETERS = frozenset({"vis", "session"})


class PipelineError(Exception):
    """A stage of ALMA's failed; CASA exits with 1."""


# The module that logs the course of a stage.
_BASETASK = "pipeline.infrastructure.basetask"


def execute(
    ppr: Path, stages: Mapping[str, Stage], *, read: Read = read_processing_request, on_failure: OnFailure | None = None
) -> None:
    """Run the stages that a PPR names, in its order, up to the first that fails.

    Args:
        ppr: the PPR.
        stages: the stages that there are, by the names of their tasks.
        read: reads the PPR; the VLA's is not ALMA's.
        on_failure: called after a stage has failed and the ``errorexit`` is written.

    Raises:
        PipelineError: a stage failed and there is an ``on_failure``, as only ALMA has it.
        TypeError: the executor cannot print what it read in the PPR.
    """
    ppr = ppr.absolute()
    post(f"Reading the processing request {ppr}")
    try:
        request = read(ppr)
        directories = directories_of(request.relative_path, os.environ)
        os.chdir(directories.working)
    except (UndecodableRequestError, OSError) as error:
        post(f"The processing request cannot be run: {error}", "ERROR")
        post("Terminating procedure execution ...")
        write_errorexit(Path.cwd())
        return
    _run(request, directories, stages, on_failure)


def run_script(
    procedure: str,
    sdm: str | Sequence[str],
    commands: Sequence[tuple[str, dict[str, object]]],
    *,
    ous: str = "",
    sessions: Mapping[str, str] | None = None,
) -> None:
    """Run stages without a PPR, in the present directory; what ``casa_pipescript.py`` calls.

    Args:
        procedure: title of the recipe.
        sdm: the execution block, or all of a MOUS.
        commands: the stages' tasks with their parameters.
        ous: ALMA's MOUS; empty for the VLA.
        sessions: the session of each execution block of a MOUS.
    """
    from sandbox.pipeline.stages import ALMA_STAGES, VLA_STAGES

    listed = tuple(Command(task, parameters) for task, parameters in commands)
    sdms = (sdm,) if isinstance(sdm, str) else tuple(sdm)
    request = ProcessingRequest(Path("PPR.xml"), "", procedure, ".", sdms, listed, ous, sessions or {})
    _run(request, directories_of(request.relative_path, {}), ALMA_STAGES if ous else VLA_STAGES, None)


def write_errorexit(working: Path) -> Path:
    """Write the file that says that the pipeline ended in an error.

    Args:
        working: the working directory.
    """
    path = working / f"errorexit-{now():%Y%m%dT%H%M%S}.txt"
    path.touch()
    return path


def post(message: str, priority: str = "INFO", *, origin: str = "pipeline", module: str = "") -> None:
    """Write a message to CASA's log, as the observatory's pipeline does, and to the standard output.

    Args:
        message: the message; its further lines are marked as such in the log.
        priority: CASA's word for how grave it is.
        origin: the task that speaks.
        module: the module that speaks.
    """
    from casatasks import casalog

    print(message, flush=True)
    casalog.origin(origin)
    casalog.post(message, priority, *([module] if module else []))


def stages_to_run(request: ProcessingRequest) -> tuple[Command, ...]:
    """Return the commands of a PPR that are run.

    Args:
        request: the PPR.
    """
    left_out = {BREAKPOINT} if request.hanning else {BREAKPOINT, "hifv_hanning"}
    return tuple(command for command in request.commands if command.task not in left_out)


def _run(
    request: ProcessingRequest, directories: Directories, stages: Mapping[str, Stage], on_failure: OnFailure | None
) -> None:
    post(f"Commands list: {[(command.task, command.parameters) for command in request.commands]}")
    for command in request.commands:
        if command not in stages_to_run(request):
            post(f"Found {command.task}, not performing any action.")
    request = replace(request, commands=stages_to_run(request))
    context = Context(request=request, directories=directories, started=now())
    for number, command in enumerate(request.commands, start=1):
        _announce(number, command)
        record = _run_stage(context, number, command, stages)
        context.stages.append(record)
        write_weblog(context)
        if record.failure:
            _report_failure(context, command, record.failure)
            errorexit = write_errorexit(directories.working)
            if on_failure:
                on_failure(context, errorexit)
            post("Terminating procedure execution ...")
            if on_failure:
                raise PipelineError(record.failure)
            return
        score = f"Stage {number}, {command.task}: score {record.score.value}: {record.score.reason}"
        post(score, module="pipeline.infrastructure.pipelineqa")
    post("Terminating procedure execution ...")


def _announce(number: int, command: Command) -> None:
    called = ", ".join(f"{name}={value!r}" for name, value in command.parameters.items())
    post("Executing command ..." + command.task, origin=command.task)
    post(f"Starting execution for stage {number}", module=_BASETASK)
    post(f"Equivalent Pipeline CLI call: {command.task}({called})", module=_BASETASK)


def _report_failure(context: Context, command: Command, failure: str) -> None:
    executor = "executeppr" if context.request.ous else "executevlappr"
    post(f"Error executing pipeline task {command.task}.", "SEVERE", module=_BASETASK)
    post(failure, "SEVERE", module=_BASETASK)
    post(f"Unhandled error in {executor} while running pipeline task {command.task}\n{failure}")


def _run_stage(context: Context, number: int, command: Command, stages: Mapping[str, Stage]) -> StageRecord:
    started = time.monotonic()
    context.casa.begin_stage(f"{number}. {command.task}")
    result, failure = None, ""
    try:
        if command.task not in stages:
            raise LookupError(f"{command.task} is no task of this pipeline")
        result = stages[command.task](context, **_arguments(command))
        score = _score(result)
    except Exception as error:  # noqa: BLE001  whatever a stage raises, the run ends in order
        failure = traceback.format_exc()
        score = Score(0.0, f"The stage failed: {error}")
    return StageRecord(
        number=number,
        task=command.task,
        parameters=command.parameters,
        seconds=time.monotonic() - started,
        score=score,
        result=result,
        failure=failure,
        casa_calls=context.casa.of_stage,
    )


def _arguments(command: Command) -> dict[str, object]:
    if not command.task.endswith(_TAKE_DATA):
        return command.parameters
    return {keyword: value for keyword, value in command.parameters.items() if keyword not in _DATA_PARAMETERS}


def _score(result: StageResult) -> Score:
    try:
        return result.score()
    except Exception as error:  # noqa: BLE001  a scorer that fails must not take the calibration with it
        return Score(SCORER_FAILED, f"The scorer failed: {error}")
