"""The links from a task in the grid to what its pipeline run has left: weblog, run directory, CASA log.

Airflow computes a link where the task runs, when the task defers or ends, and keeps it beside the task: the servers
that show it need neither this code nor the run's files.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.settings import Settings


class _RunFilesLink(BaseOperatorLink):
    """A link to something of the run that an operator's ``pipeline_run_id`` names."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address, or an empty one (Airflow then greys the button) while there is nothing to see.

        Args:
            operator: the operator, with its ``pipeline_run_id`` rendered.
            ti_key: which task instance; not needed.
        """
        from srdp.domain.common.errors import SrdpError
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.domain.runs.pipeline_run import find_run_directory
        from srdp.settings import load_settings

        try:
            settings = load_settings()
            run_id = pipeline_run_id(getattr(operator, "pipeline_run_id", None))
            return self._address(settings, find_run_directory(settings.areas, run_id)) or ""
        except SrdpError:
            # The task itself says what is wrong; a link has nowhere to say it.
            return ""

    @abstractmethod
    def _address(self, settings: Settings, directory: RunDirectory) -> str | None:
        """Return the address, or None while there is nothing to see."""


class WeblogLink(_RunFilesLink):
    """The newest weblog of the run."""

    name = "Weblog"

    def _address(self, settings: Settings, directory: RunDirectory) -> str | None:
        from srdp.domain.casa.web_addresses import newest_weblog, weblog_address

        weblog = newest_weblog(directory)
        return weblog_address(settings.weblog_url, directory.pipeline_run_id, weblog) if weblog else None


class RunDirectoryLink(_RunFilesLink):
    """The run's directory, in either area."""

    name = "Run directory"

    def _address(self, settings: Settings, directory: RunDirectory) -> str | None:
        from srdp.domain.casa.web_addresses import run_directory_address

        return run_directory_address(settings.run_files_url, directory.pipeline_run_id)


class CasaLogLink(_RunFilesLink):
    """The log of CASA itself."""

    name = "CASA log"

    def _address(self, settings: Settings, directory: RunDirectory) -> str | None:
        from srdp.domain.casa.log import find_casa_log
        from srdp.domain.casa.web_addresses import run_directory_address

        log = find_casa_log(directory)
        if log is None:
            return None
        base = run_directory_address(settings.run_files_url, directory.pipeline_run_id)
        return base + log.relative_to(directory.root).as_posix()


class WorkingDirectoryLink(_RunFilesLink):
    """The directory in which CASA works: its log and its weblog appear there."""

    name = "Working directory"

    def _address(self, settings: Settings, directory: RunDirectory) -> str | None:
        from srdp.domain.casa.web_addresses import run_directory_address

        return f"{run_directory_address(settings.run_files_url, directory.pipeline_run_id)}working/"


#: What the step links to that runs CASA. A link is made when a task defers or ends. This one defers before there is a
#: log or a weblog, and is ended by its trigger, where no link is made.
RUNNING_LINKS = (RunDirectoryLink(), WorkingDirectoryLink())

#: What every other step of a run links to.
RUN_FILES_LINKS = (WeblogLink(), RunDirectoryLink(), CasaLogLink())
