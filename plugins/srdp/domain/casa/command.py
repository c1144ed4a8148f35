"""How CASA is called for a pipeline run: the job's name, the command line, the environment and the pipeline's root."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from srdp.domain.common.errors import InvalidInput, SettingsError, quoted
from srdp.domain.files.spool_files import made_spool_folder
from srdp.domain.ppr.document import checked_relative_path
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id
from srdp.domain.runs.pipeline_run import RunDirectory

_RUNNER = re.compile(r"[A-Za-z0-9_]{1,64}\.py", re.ASCII)


def casa_job_name(run_id: PipelineRunId, attempt: int = 1) -> str:
    """Return the name under which CASA is started for a run, and found again.

    Args:
        run_id: the run.
        attempt: the attempt, from 1. A run has one: to try again is a new run.
    """
    return f"{pipeline_run_id(run_id)}.casa{attempt}"


def casa_command(
    *,
    casa: Path,
    arguments: Sequence[str],
    heuristics: Path,
    runner: str,
    processing_request: Path,
    mpi_processes: int = 1,
) -> tuple[str, ...]:
    """Return the command line that runs the pipeline; it is to be started in the run's ``working/``.

    Args:
        casa: the ``casa`` executable.
        arguments: what follows it before ``-c``, for example ``--nogui --nologger --agg``.
        heuristics: the pipeline's folder (``SCIPIPE_HEURISTICS``).
        runner: the script in its ``pipeline/``: ``runvlapipeline.py`` for VLA, ``runpipeline.py`` for ALMA.
        processing_request: the PPR in ``working/``; CASA is given its name only.
        mpi_processes: if more than one, CASA is started by the ``mpicasa`` beside it, with so many processes.

    Raises:
        InvalidInput: the runner is not the name of a Python script.
        SettingsError: the executable or the script is not there.
    """
    if not _RUNNER.fullmatch(runner):
        raise InvalidInput(f"{quoted(runner)} is not the name of a pipeline runner, such as runvlapipeline.py.")
    script = heuristics / "pipeline" / runner
    if not (casa.is_file() and os.access(casa, os.X_OK)):
        raise SettingsError(
            f"{casa} is not an executable file: set SRDP_CASA, or SRDP_CASA_INSTALLATIONS for a further release, to "
            "the casa executable."
        )
    if not script.is_file():
        raise SettingsError(
            f"There is no {script}: set SRDP_SCIPIPE_HEURISTICS, or SRDP_CASA_INSTALLATIONS for a further "
            "release, to the pipeline's folder."
        )
    command = (str(casa), *arguments, "-c", str(script), processing_request.name)
    if mpi_processes == 1:
        return command
    mpicasa = casa.with_name("mpicasa")
    if not (mpicasa.is_file() and os.access(mpicasa, os.X_OK)):
        raise SettingsError(
            f"{mpicasa} is not an executable file, but {mpi_processes} MPI processes are set: use a CASA that has it "
            "beside casa, or set the engine's MPI_PROCESSES to 1."
        )
    return (str(mpicasa), "-n", str(mpi_processes), *command)


def casa_environment(*, heuristics: Path, pipeline_root: Path) -> dict[str, str]:
    """Return what the pipeline finds in its environment.

    Args:
        heuristics: the pipeline's folder.
        pipeline_root: the root of the run's own, from :func:`link_pipeline_root`.
    """
    return {"SCIPIPE_HEURISTICS": str(heuristics), "SCIPIPE_ROOTDIR": str(pipeline_root)}


def link_pipeline_root(spool: Path, relative_path: PurePosixPath, directory: RunDirectory) -> Path:
    """Make a root of the run's own, which holds nothing but a link named as the PPR's ``RelativePath``.

    The pipeline works in ``$SCIPIPE_ROOTDIR/<RelativePath>/working``. Through the link that is the run's directory,
    whatever the PPR calls it: the PPR of a former run works in a new directory, byte for byte.

    Args:
        spool: the run's spool directory.
        relative_path: what the PPR says.
        directory: the run's directory.

    Returns:
        The root, for ``SCIPIPE_ROOTDIR``.

    Raises:
        InvalidInput: the relative path is empty, absolute, too long, or leaves the root.
        NotTheServicesOwn: the run's spool directory is not the service's own.
    """
    root = spool / "scipipe_root"
    checked_relative_path(str(relative_path), "The PPR")
    target, name = str(directory.root), relative_path.name
    steps = (spool.name, root.name, *relative_path.parent.parts)
    with made_spool_folder(spool.parent, *steps) as folder:
        with suppress(OSError):
            if os.readlink(name, dir_fd=folder) == target:
                return root
        temporary = f".link.{os.getpid()}"
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        os.symlink(target, temporary, target_is_directory=True, dir_fd=folder)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    return root
