"""``python -m sandbox.mail_box ...``: the mail box ``maildump``, with its own options, for this machine only."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import gevent.pywsgi  # type: ignore[import-untyped]

from sandbox.hosts import MISDIRECTED, refusal

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def checked(application: Application) -> Application:
    """Returns the application behind a check of whom a request asks for.

    Args:
        application: answers the requests for this machine.
    """

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if refused := refusal(environment.get("HTTP_HOST")):
            start(f"{MISDIRECTED} Misdirected Request", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{refused}\n".encode()]
        return application(environment, start)

    return answer


class _CheckedServer(gevent.pywsgi.WSGIServer):  # type: ignore[misc]
    def __init__(self, listener: object, application: Application, **options: object) -> None:
        super().__init__(listener, checked(application), **options)


if __name__ == "__main__":
    # maildump has no option for this, and makes its server when all else is set up.
    gevent.pywsgi.WSGIServer = _CheckedServer
    warnings.simplefilter("ignore")
    from maildump_runner.main import main  # type: ignore[import-untyped]

    sys.exit(main())
