"""``python -m sandbox.mail_box [--name NAME] ...``: the mail box ``maildump``, with its own options.

It listens on loopback by default (``--listen``), and shows no mails to a request for another
host than this machine and the names that are given.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import gevent.pywsgi  # type: ignore[import-untyped]

from sandbox.hosts import MISDIRECTED, ON_LOOPBACK, Listening, add_listening_options, listening

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def checked(application: Application, listen: Listening = ON_LOOPBACK) -> Application:
    """Return the application behind a check of whom a request asks for.

    Args:
        application: answers the requests for this mail box.
        listen: what it is called.
    """

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if refused := listen.refusal(environment.get("HTTP_HOST")):
            start(f"{MISDIRECTED} Misdirected Request", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{refused}\n".encode()]
        return application(environment, start)

    return answer


def _checked_server(listen: Listening) -> type:
    class CheckedServer(gevent.pywsgi.WSGIServer):  # type: ignore[misc]
        def __init__(self, listener: object, application: Application, **options: object) -> None:
            super().__init__(listener, checked(application, listen), **options)

    return CheckedServer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m sandbox.mail_box", add_help=False, allow_abbrev=False)
    add_listening_options(parser)
    own, of_maildump = parser.parse_known_args()
    sys.argv[1:] = ["--smtp-ip", own.listen, "--http-ip", own.listen, *of_maildump]
    # maildump has no option for this, and makes its server when all else is set up.
    gevent.pywsgi.WSGIServer = _checked_server(listening(own))
    warnings.simplefilter("ignore")
    from maildump_runner.main import main  # type: ignore[import-untyped]

    sys.exit(main())
