"""Airflow's REST API, as somebody outside Airflow asks it: over HTTP, with a login of its own."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import requests
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from srdp.domain.common.errors import ServiceUnavailable, SettingsError, quoted
from srdp.domain.ngas.direct_http import direct_session

_SECONDS = 8.0
_LARGEST_ANSWER_BYTES = 8 << 20


class AirflowRestHook(BaseHook):
    """Reads Airflow's REST API through an ``http`` connection, which holds the address and a login.

    The login goes to that address alone: no redirection is followed, and proxies and ``.netrc`` of the environment are
    not heeded. Every auth manager that gives tokens for ``POST /auth/token`` will do.

    Args:
        connection_id: the Airflow connection.
    """

    def __init__(self, connection_id: str) -> None:
        super().__init__()
        self.connection_id = connection_id
        self._session = direct_session()
        self._address = ""
        self._token = ""

    def health(self) -> dict[str, Any]:
        """Return what the API server says about Airflow's components; it is asked without a login.

        Raises:
            ServiceUnavailable: the API server does not answer.
            SettingsError: the connection is missing or wrong.
        """
        return self._answer("GET", "api/v2/monitor/health")

    def get(self, path: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to ``GET /api/v2/<path>``.

        Args:
            path: for example ``dags``.
            **parameters: the query's parameters.

        Raises:
            ServiceUnavailable: the API server does not answer.
            SettingsError: the connection is missing or wrong, or its login may not read this.
        """
        if not self._token:
            login = self._connection()
            body = {"username": login.login or "", "password": login.password or ""}
            self._token = str(self._answer("POST", "auth/token", json=body).get("access_token"))
            self._session.headers["Authorization"] = f"Bearer {self._token}"
        return self._answer("GET", f"api/v2/{path}", params=parameters)

    def _connection(self) -> Any:  # noqa: ANN401  Airflow's class of it has no stable place to import from
        try:
            return self.get_connection(self.connection_id)
        except AirflowNotFoundException:
            raise SettingsError(
                f"The Airflow connection {self.connection_id} is missing: make it, with the API server's address and "
                f"a login that may read, or set AIRFLOW_CONN_{self.connection_id.upper()}."
            ) from None

    def _url(self) -> str:
        if not self._address:
            connection = self._connection()
            host = str(connection.host or "")
            if "://" not in host:
                scheme = connection.schema if connection.schema in ("http", "https") else connection.conn_type
                port = f":{connection.port}" if connection.port else ""
                host = f"{scheme}://{host}{port}"
            self._address = host.rstrip("/")
        return self._address

    def _answer(self, method: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401  requests' own options
        asked = f"Airflow's API server (Airflow connection {self.connection_id})"
        try:
            with self._session.request(
                method, f"{self._url()}/{path}", timeout=_SECONDS, allow_redirects=False, stream=True, **options
            ) as response:
                self._must_be_success(response, f"{asked} answered HTTP {response.status_code} for {path}")
                content = response.raw.read(_LARGEST_ANSWER_BYTES, decode_content=True)
            answer = json.loads(content)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
            raise SettingsError(f"{asked} has no address that can be asked: set host and port.") from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise ServiceUnavailable(f"{asked} does not answer: {type(error).__name__} for {path}.") from None
        if not isinstance(answer, dict):
            raise ServiceUnavailable(f"{asked} answers {path} with something other than Airflow's answer.")
        return answer

    def _must_be_success(self, response: requests.Response, said: str) -> None:
        status = response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise SettingsError(f"{said}: set a login in the connection that may read DAGs and task instances.")
        if response.is_redirect:
            raise SettingsError(
                f"{said}, a redirection to {quoted(response.headers['location'], 200)}, which is not followed: set the "
                "right address in the connection."
            )
        if not response.ok:
            raise ServiceUnavailable(f"{said}.")
