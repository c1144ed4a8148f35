"""How the archive is asked to index a project again, so that its front end shows what was archived."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import requests

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.ngas.direct_http import direct_session
from srdp.hooks.archive import ArchiveHook

if TYPE_CHECKING:
    from srdp.hooks.ledger.outbox_records import ReindexRequest
    from srdp.settings import Settings

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_PROJECT = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class ReindexHook:
    """Asks in the way that ``SRDP_REINDEX`` names: ``http``, ``sql``, or not at all (``off``).

    To ask twice does no harm. ``http`` is a ``POST`` of ``{"project": <code>}`` as JSON to ``SRDP_REINDEX_URL``, in
    which ``{project}`` is filled in; any answer of the two hundreds means that the request was taken. ``sql`` is the
    statement ``request_reindex.sql``.

    Args:
        settings: how, and where.

    Note:
        The address is in no sentence and no log: it may hold a login or a key. A redirection is not followed: it could
        lead to another host, and would turn the POST into a GET. Nor are proxies and ``.netrc`` of the environment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def is_on(self) -> bool:
        """Whether the archive is asked at all."""
        return self._settings.reindex != "off"

    def request(self, project: str) -> None:
        """Asks for a project to be indexed again; does nothing if that is off.

        Args:
            project: its code.

        Raises:
            InvalidInput: it is no project code, or the archive has no such project.
            ServiceUnavailable: the archive does not answer, or cannot serve now.
            SettingsError: the address is missing or wrong.
            SrdpError: the archive refuses.
        """
        if not _PROJECT.fullmatch(project):
            raise InvalidInput(f"{quoted(project)} is not a project code: the archive was not asked to index it again.")
        if self._settings.reindex == "http":
            self._post(project)
        elif self._settings.reindex == "sql":
            ArchiveHook(self._settings).request_reindex(project)

    def check(self) -> str:
        """Return how the archive is asked, in a sentence.

        Raises:
            SettingsError: the settings name no address to ask at.
        """
        if self._settings.reindex == "http":
            return f"projects are indexed again by asking {self._host()}, which was not tried."
        return "by a row in the archive's database." if self.is_on else "off; nobody is asked."

    def _post(self, project: str) -> None:
        host = self._host()
        # Not str.format: an address may hold other braces. As one part of a path: a slash in it would be another path.
        url = self._settings.reindex_url.replace("{project}", quote(project, safe=""))
        asked = f"The service at {host} (SRDP_REINDEX_URL), asked to index the project {quoted(project)} again,"
        try:
            with direct_session().post(
                url,
                json={"project": project},
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                allow_redirects=False,
                stream=True,  # the answer's text is of no interest, however long it is
            ) as response:
                status = response.status_code
        except ValueError:  # so are all errors that requests and urllib3 have for addresses
            raise SettingsError(_no_address()) from None
        except (requests.RequestException, OSError) as error:
            raise ServiceUnavailable(
                f"{asked} could not be reached or did not answer: {type(error).__name__}."
            ) from None
        _must_be_taken(asked, status)

    def _host(self) -> str:
        try:
            host = urlsplit(self._settings.reindex_url).hostname
        except ValueError:
            host = None
        if not host:
            raise SettingsError(_no_address())
        return host


class ReindexDrain:
    """What :meth:`srdp.hooks.ledger.outbox.Outbox.deliver_next_reindex` sends with, for one drain of the outbox.

    Attributes:
        away: whether the archive turned out not to be there; each further request would wait for the same timeout.
        refused: whether the last request was refused in a way that time does not heal.

    Args:
        hook: asks the archive.
    """

    def __init__(self, hook: ReindexHook) -> None:
        self.away = self.refused = False
        self._hook = hook

    def send(self, request: ReindexRequest) -> str | None:
        """Asks for one project; returns why it did not succeed, in one sentence, or None. Does not raise."""
        self.refused = False
        try:
            self._hook.request(request.project)
        except SrdpError as error:
            self.refused = not isinstance(error, ServiceUnavailable)
            self.away = isinstance(error, (ServiceUnavailable, SettingsError))
            log.warning("The archive was not asked to index %s again: %s", quoted(request.project), error)
            return str(error)
        log.info("The archive was asked to index %s again, for %s.", quoted(request.project), request.pipeline_run_id)
        return None


def _must_be_taken(asked: str, status: int) -> None:
    if status in range(200, 300):
        return
    answered = f"{asked} answered HTTP {status}"
    if status in range(300, 400):
        raise SettingsError(f"{answered}, a redirection: set SRDP_REINDEX_URL to the address that it leads to.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise SettingsError(f"{answered}: it wants another login in SRDP_REINDEX_URL.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        raise ServiceUnavailable(f"{answered}.")
    raise SrdpError(f"{answered}: see whether SRDP_REINDEX_URL is right, and whether it knows the project.")


def _no_address() -> str:
    return (
        "SRDP_REINDEX is http, but SRDP_REINDEX_URL is not the address of a host: set it, or set SRDP_REINDEX to sql "
        "or off."
    )
