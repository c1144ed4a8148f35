"""Airflow's REST API as a person or a test uses it: with a token, over loopback."""

from __future__ import annotations

import time
from typing import Any

import requests

from srdp.domain.common.errors import ServiceUnavailable

_SECONDS = 30.0


class AirflowApi:
    """Airflow's public REST API of one instance.

    Args:
        base_url: where Airflow answers, for example ``http://127.0.0.1:8080``.
        user: whose rights are used.
        password: that user's password.
    """

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self.base_url = base_url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        # Proxies of the machine are not asked for loopback addresses.
        self._session.trust_env = False
        self._token = ""

    @property
    def token(self) -> str:
        """A token for this API, fetched at first use."""
        if not self._token:
            answer = self._session.post(f"{self.base_url}/auth/token", json=self._login, timeout=_SECONDS)
            answer.raise_for_status()
            self._token = str(answer.json()["access_token"])
        return self._token

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return the decoded answer to ``GET /api/v2/<path>``.

        Args:
            path: for example ``dags/vla_calibration``.
            **parameters: the query's parameters.

        Raises:
            requests.HTTPError: Airflow refused.
        """
        return self._decoded("GET", path, parameters=parameters)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the decoded answer to ``POST /api/v2/<path>``.

        Args:
            path: for example ``dags/vla_calibration/dagRuns``.
            body: what is sent as JSON.

        Raises:
            requests.HTTPError: Airflow refused.
        """
        return self._decoded("POST", path, body=body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the decoded answer to ``PATCH /api/v2/<path>``.

        Args:
            path: for example ``dags/vla_calibration``.
            body: what is sent as JSON.

        Raises:
            requests.HTTPError: Airflow refused.
        """
        return self._decoded("PATCH", path, body=body)

    def _decoded(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, parameters: dict[str, str] | None = None
    ) -> dict[str, Any]:
        return dict(self.request(method, path, body=body, parameters=parameters).json())

    def request(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, parameters: dict[str, str] | None = None
    ) -> requests.Response:
        """Return the answer to a request below ``/api/v2/``.

        Args:
            method: the HTTP method.
            path: what follows ``/api/v2/``.
            body: what is sent as JSON, if anything.
            parameters: the query's parameters.

        Raises:
            requests.HTTPError: Airflow refused; the error has its answer.
        """
        answer = self._session.request(
            method,
            f"{self.base_url}/api/v2/{path}",
            headers={"Authorization": f"Bearer {self.token}"},
            json=body,
            params=parameters,
            timeout=_SECONDS,
        )
        if not answer.ok:
            raise requests.HTTPError(f"{answer.status_code} for {method} {path}: {answer.text[:2000]}", response=answer)
        return answer

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, dag_run_id: str | None = None) -> str:
        """Start a DAG run and return its DAG run id.

        Args:
            dag_id: which DAG.
            conf: its params.
            dag_run_id: the id to give it; Airflow makes one if not given.

        Raises:
            requests.HTTPError: Airflow refused, for example a param.
        """
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if dag_run_id is not None:
            body["dag_run_id"] = dag_run_id
        return str(self.post(f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def wait_for_dag(self, dag_id: str, *, timeout: float = 90.0) -> None:
        """Return when the DAG was parsed and may be started.

        Args:
            dag_id: which DAG.
            timeout: seconds to wait.

        Raises:
            ServiceUnavailable: it did not appear; the sentence holds Airflow's import errors.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                if not self.get(f"dags/{dag_id}")["is_stale"]:
                    return
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != requests.codes.not_found:
                    raise
            if time.monotonic() > deadline:
                errors = self.get("importErrors")["import_errors"]
                import_errors = "; ".join(f"{item['filename']}: {item['stack_trace'][-600:]}" for item in errors)
                message = f"Airflow does not know the DAG {dag_id} after {timeout:.0f} s. {import_errors}"
                raise ServiceUnavailable(message)
            time.sleep(0.5)

    def wait_for_run(self, dag_id: str, dag_run_id: str, *, timeout: float = 300.0) -> str:
        """Return a DAG run's state once it is ``success`` or ``failed``.

        Args:
            dag_id: which DAG.
            dag_run_id: which of its runs.
            timeout: seconds to wait.

        Raises:
            ServiceUnavailable: it has not ended; the sentence holds the states of its tasks.
        """
        deadline = time.monotonic() + timeout
        while True:
            state = str(self.get(f"dags/{dag_id}/dagRuns/{dag_run_id}")["state"])
            if state in ("success", "failed"):
                return state
            if time.monotonic() > deadline:
                raise ServiceUnavailable(
                    f"DAG run {dag_run_id} of {dag_id} is {state} after {timeout:.0f} s: "
                    f"{self.task_states(dag_id, dag_run_id)}."
                )
            time.sleep(0.5)

    def task_states(self, dag_id: str, dag_run_id: str) -> dict[str, str | None]:
        """Return the state of each task of a DAG run.

        Args:
            dag_id: which DAG.
            dag_run_id: which of its runs.
        """
        found = self.get(f"dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances")["task_instances"]
        return {item["task_id"]: item["state"] for item in found}

    def task_log(self, dag_id: str, dag_run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return what a task wrote to its log, as text.

        Args:
            dag_id: which DAG.
            dag_run_id: which of its runs.
            task_id: which of its tasks.
            attempt: which try, counted from 1.
        """
        path = f"dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{attempt}"
        content = self.get(path, full_content="true")["content"]
        return "\n".join(item if isinstance(item, str) else str(item.get("event", "")) for item in content)
