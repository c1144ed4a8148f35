"""The archive's locator service: which files something has, and on which NGAS servers they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.ngas.direct_http import go_direct
from srdp.domain.ngas.locator_report import LocatorReport, parse_locator_report
from srdp.domain.runs.identifiers import Locator
from srdp.domain.runs.retry import SERVER

_TIMEOUT_SECONDS = 60.0
_LARGEST_REPORT_BYTES = 256 << 20
_BLOCK_BYTES = 1 << 20
_PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class _DirectHttpHook(HttpHook):
    def get_conn(self, *arguments: Any, **options: Any) -> requests.Session:  # noqa: ANN401
        return go_direct(super().get_conn(*arguments, **options))


class LocatorHook(BaseHook):
    """Reads locator reports through an Airflow ``http`` connection.

    If the service is not at the root of its host, the connection's host is the whole address, for example
    ``https://archive.example.org/service/location``, and its port is empty.

    The connection's login goes to its host alone: no redirection is followed, and proxies and ``.netrc`` of the
    environment are not heeded.

    Args:
        connection_id: the Airflow connection.
        attempts: how often the service is asked in all before it counts as unavailable.
        first_wait_seconds: the wait before the second attempt; it doubles from one to the next.
    """

    def __init__(
        self,
        connection_id: str,
        *,
        attempts: int = SERVER.attempts,
        first_wait_seconds: float = SERVER.first_wait_seconds,
    ) -> None:
        super().__init__()
        self.connection_id = connection_id
        self._patience = replace(SERVER, attempts=attempts, first_wait_seconds=first_wait_seconds)

    def report(self, locator: Locator) -> LocatorReport:
        """Return what the archive says about the files of an execution block, an ASDM or a calibration.

        Args:
            locator: the archive's key of it.

        Raises:
            InvalidInput: the archive does not know the locator, or its report is not usable.
            ServiceUnavailable: the service did not answer, as often as it was asked.
            SettingsError: the connection is missing or wrong.
        """
        retrying = self._patience.retrying(
            lambda state: self.log.warning("%s Trying again.", state.outcome.exception() if state.outcome else "")
        )
        return retrying(self._ask, locator)

    def _ask(self, locator: Locator) -> LocatorReport:
        try:
            hook = _DirectHttpHook(method="GET", http_conn_id=self.connection_id)
            options = {"check_response": False, "allow_redirects": False, "timeout": _TIMEOUT_SECONDS, "stream": True}
            with hook.run(data={"locator": locator}, extra_options=options) as response:
                self._must_be_success(response, locator)
                return parse_locator_report(self._content(response), locator)
        except AirflowNotFoundException:
            raise SettingsError(
                f"The Airflow connection {self.connection_id} is missing: make it, with the locator service's address."
            ) from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, ValueError):
            raise SettingsError(
                f"The Airflow connection {self.connection_id} holds no address that can be asked: set schema, host "
                "and port."
            ) from None
        except (requests.RequestException, OSError) as error:
            raise ServiceUnavailable(
                f"The locator service (Airflow connection {self.connection_id}) could not be asked about {locator}: "
                f"{type(error).__name__}."
            ) from None

    def _must_be_success(self, response: requests.Response, locator: Locator) -> None:
        status = response.status_code
        if status == HTTPStatus.OK:
            return
        if status == HTTPStatus.NOT_FOUND:
            raise InvalidInput(
                f"The archive's locator service knows no files of {locator}: ask the archive's operators whether it "
                "was ingested completely."
            )
        asked = f"The locator service (Airflow connection {self.connection_id}) answered HTTP {status} for {locator}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise SettingsError(f"{asked}: set the right login and password in the connection.")
        if status in _PASSING:
            raise ServiceUnavailable(f"{asked}.")
        if response.is_redirect:
            raise SettingsError(
                f"{asked}, a redirection to {quoted(response.headers['location'], 200)}, which is not followed: set "
                "the right address in the connection."
            )
        raise SrdpError(f"{asked} ({quoted(response.reason)}): look at the address in the connection.")

    def _content(self, response: requests.Response) -> Iterator[bytes]:
        received = 0
        for block in response.iter_content(_BLOCK_BYTES):
            received += len(block)
            if received > _LARGEST_REPORT_BYTES:
                raise InvalidInput(f"it is larger than {_LARGEST_REPORT_BYTES} bytes")
            yield block
