"""Where people look at a run in a browser: addresses for mails and for links in the grid."""

from __future__ import annotations

import json
from urllib.parse import quote

from srdp.domain.files.shared_folders import is_folder, list_shared
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.pipeline_run import RunDirectory


def dag_run_address(airflow_url: str, dag_id: str, dag_run_id: str) -> str:
    """Return the address of a DAG run's page in Airflow.

    Args:
        airflow_url: where people reach Airflow.
        dag_id: the DAG.
        dag_run_id: Airflow's own id of the run, not the pipeline run ID.
    """
    return f"{airflow_url.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(dag_run_id, safe='')}"


def audit_address(airflow_url: str, dag_id: str, dag_run_id: str) -> str:
    """Return the address of Airflow's audit log of a DAG run: who marked or cleared what, and when.

    Args:
        airflow_url: where people reach Airflow.
        dag_id: the DAG.
        dag_run_id: Airflow's own id of the run.
    """
    return f"{dag_run_address(airflow_url, dag_id, dag_run_id)}/events"


def dag_address(airflow_url: str, dag_id: str) -> str:
    """Return the address of a DAG's page in Airflow, where it is triggered.

    Args:
        airflow_url: where people reach Airflow.
        dag_id: the DAG.
    """
    return f"{airflow_url.rstrip('/')}/dags/{quote(dag_id, safe='')}"


def answer_address(airflow_url: str, dag_id: str, dag_run_id: str, task_id: str, option: str | None = None) -> str:
    """Return the address of the page on which a task's question to people is answered.

    Airflow has a function for it that needs the task to run already. This one is asked before.

    Args:
        airflow_url: where people reach Airflow.
        dag_id: the DAG.
        dag_run_id: Airflow's own id of the run.
        task_id: the task that asks.
        option: the answer that the page is to have chosen already; None: nothing is chosen.
    """
    page = f"{dag_run_address(airflow_url, dag_id, dag_run_id)}/tasks/{quote(task_id, safe='')}/required_actions"
    # Quoted twice: the page decodes what the browser's reading of the address has decoded already.
    return page if option is None else f"{page}?_options={quote(quote(json.dumps([option]), safe=''), safe='')}"


def run_directory_address(run_files_url: str, run_id: PipelineRunId) -> str:
    """Return the address at which a run's directory is shown, in either area.

    Args:
        run_files_url: where people reach run directories.
        run_id: the pipeline run ID.
    """
    return f"{run_files_url.rstrip('/')}/{run_id}/"


def weblog_address(weblog_url: str, run_id: PipelineRunId, weblog: str) -> str:
    """Return a weblog's address.

    Args:
        weblog_url: the setting, with ``{pipeline_run_id}`` and ``{weblog}`` in it.
        run_id: the pipeline run ID.
        weblog: the weblog's path in the run directory; see :func:`newest_weblog`.
    """
    return weblog_url.format(pipeline_run_id=run_id, weblog=quote(weblog))


def newest_weblog(directory: RunDirectory) -> str | None:
    """Return the path, in the run directory, of the newest weblog, or None if the pipeline wrote none.

    The pipeline names it ``working/pipeline-<UTC yyyymmddThhmmss>/html``, so that names sort by time. A symbolic link
    is none, whatever it leads to: what a weblog holds is shown, written into and archived.

    Args:
        directory: the run's directory, at its present place.

    Raises:
        UnsafeFile: ``working/`` is a symbolic link.
        LocalFilesError: it cannot be looked into.
    """
    root = directory.root
    for folder in reversed(list_shared(root, directory.working, "pipeline-*")):
        if is_folder(root, folder) and is_folder(root, folder / "html"):
            return (folder / "html").relative_to(root).as_posix()
    return None
