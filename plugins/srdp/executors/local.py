"""Airflow's LocalExecutor, whose workers have imported what the steps import, and of which none can stop the others."""

from __future__ import annotations

import importlib
import os
import pickle
import pkgutil
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

import srdp
from srdp.domain.common.errors import SettingsError

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload

# A workload has about two kilobytes.
_LARGEST_MESSAGE = 128 * 1024


class MessageQueue:
    """Hands each message to one of the processes that wait for one, of which any may be killed.

    Airflow's own queue is a pipe behind a lock, and who waits for a message holds the lock: killed, it keeps it for
    ever, and no worker gets another step. Here the kernel gives each message whole to one reader; there is no lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sender = os.getpid()

    def get(self) -> ExecutorWorkload | None:
        """Return the next message; wait for it.

        Raises:
            EOFError: the process that sends is gone.
        """
        if os.getpid() != self._sender:
            self._writer.close()  # what was inherited: with it open, the end of the sender would not show
        message = self._reader.recv(_LARGEST_MESSAGE)
        if not message:
            raise EOFError
        received: ExecutorWorkload | None = pickle.loads(message)  # noqa: S301  only the scheduler writes there
        return received

    def put(self, item: ExecutorWorkload | None) -> None:
        """Send a message to the first process that takes it.

        Args:
            item: the message.

        Raises:
            ValueError: it is too large to be read whole.
        """
        message = pickle.dumps(item)
        if len(message) > _LARGEST_MESSAGE:
            raise ValueError(
                f"A workload has {len(message)} bytes, more than the {_LARGEST_MESSAGE} that a worker reads."
            )
        self._writer.send(message)

    def empty(self) -> bool:
        """Return whether no message waits to be taken."""
        try:
            return not self._reader.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True

    def close(self) -> None:
        """Close both ends in this process."""
        self._reader.close()
        self._writer.close()


class PreloadedLocalExecutor(LocalExecutor):
    """Forks its workers from a scheduler that has imported the library, and survives the death of any of them.

    Each step is a process of its own, forked from a worker. What the worker has imported is there already, and is in
    memory once: without, every step spends about a second of a core on importing the library and the providers' hooks.
    So are the settings and the compiled templates of mails, each of which is read again when it has changed.

    Set ``AIRFLOW__CORE__EXECUTOR`` to ``srdp.executors.local.PreloadedLocalExecutor``.

    Note:
        A change of the library reaches the steps when the scheduler is restarted, as an upgrade does anyway.
    """

    activity_queue: Any

    def start(self) -> None:
        """Import and read what steps need, then start as Airflow's own executor, with a queue that no worker blocks."""
        for module in pkgutil.walk_packages(srdp.__path__, "srdp."):
            importlib.import_module(module.name)
        _read_settings_and_templates()
        forks, self.is_mp_using_fork = self.is_mp_using_fork, False  # so that no worker is made with the other queue
        super().start()
        self.is_mp_using_fork = forks
        self.activity_queue.close()
        self.activity_queue = MessageQueue()
        if forks:
            self._spawn_workers_with_gc_freeze(self.parallelism)  # type: ignore[no-untyped-call]


def _read_settings_and_templates() -> None:
    """Read what a step reads again only if it has changed; what is wrong with it is for the steps to tell."""
    from jinja2 import TemplateError

    from srdp.domain.common.mail import compile_templates
    from srdp.settings import load_settings

    with suppress(SettingsError, TemplateError, OSError, ValueError):
        compile_templates(load_settings().templates)
