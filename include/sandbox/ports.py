"""Ports on loopback: which are free, and which are in the way."""

from __future__ import annotations

import contextlib
import socket

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback address that nothing listens on at this moment.

    They are held together while they are chosen, so that no two are the same. Somebody else may take one before
    it is used: a caller that starts servers on them says so when it happens.

    Args:
        count: how many.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((LOOPBACK, 0))
            ports.append(int(probe.getsockname()[1]))
        return ports


def is_taken(port: int) -> bool:
    """Return whether a server could not listen on this loopback port now.

    Args:
        port: the TCP port.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too: connections of a former server in TIME_WAIT are not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
        return False
