"""Where a server of the embedded observatory listens, and which requests it answers: those for a name of its own.

It listens on loopback by default. A page of anybody's can have a browser ask a name of its own that leads
to 127.0.0.1 (DNS rebinding), and would read the answer as its own. Such a request names the other host in its header
``Host``. Where a server listens on a network of containers, it is asked for by the name of its service.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.ports import LOOPBACK

#: The names of this machine under which Airflow's pages may be asked for.
OWN_NAMES = ("127.0.0.1", "localhost")
#: The HTTP status of a request for another host, "Misdirected Request".
MISDIRECTED = 421
_SHOWN = 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and under which names it is asked for beside those of this machine.

    Attributes:
        address: an address of this machine; ``0.0.0.0`` is all of them.
        names: further names, in lower case; it calls itself by the first.
    """

    address: str = LOOPBACK
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the server calls itself."""
        return self.names[0] if self.names else self.address

    def refusal(self, host: str | None) -> str:
        """Return the sentence for a request that asks for another host; nothing if it asks for this server.

        Args:
            host: the header ``Host``; None if there is none, which no browser does.
        """
        if host is None or _is_own(name := _name_in(host)) or name in self.names:
            return ""
        *others, last = (*OWN_NAMES, *self.names)
        return f"This server answers for {', '.join(others)} and {last} only, and was asked for {host[:_SHOWN]!a}."


#: Where everything listens by default.
ON_LOOPBACK = Listening()


def add_listening_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server that :func:`listening` reads.

    Args:
        parser: of the server's command line.
    """
    parser.add_argument(
        "--listen", metavar="ADDRESS", type=_address, default=LOOPBACK,
        help="the address that it listens at (%(default)s); 0.0.0.0 is every one, for a network of containers only",
    )  # fmt: skip
    parser.add_argument(
        "--name", metavar="NAME", type=_host_name, action="append", default=[],
        help="a further name under which it is asked for, such as a service's; may be given several times",
    )  # fmt: skip


def listening(options: argparse.Namespace) -> Listening:
    """Return what the options of :func:`add_listening_options` say.

    Args:
        options: as they were parsed.
    """
    return Listening(options.listen, tuple(options.name))


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!a} is not an IPv4 address") from None


def _host_name(text: str) -> str:
    if not _NAME.fullmatch(name := text.lower()):
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!a} is not the name of a host")
    return name


def _name_in(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_own(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
