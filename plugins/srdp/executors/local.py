"""Airflow's LocalExecutor, whose workers have imported what the steps import."""

from __future__ import annotations

import importlib
import pkgutil

from airflow.executors.local_executor import LocalExecutor

import srdp


class PreloadedLocalExecutor(LocalExecutor):
    """Forks its workers from a scheduler that has imported the library.

    Each step is a process of its own, forked from a worker. What the worker has imported is there already, and is in
    memory once: without, every step spends about a second of a core on importing the library and the providers' hooks.

    Set ``AIRFLOW__CORE__EXECUTOR`` to ``srdp.executors.local.PreloadedLocalExecutor``.

    Note:
        A change of the library reaches the steps when the scheduler is restarted, as an upgrade does anyway.
    """

    def start(self) -> None:
        """Import the library, then start as Airflow's own executor does."""
        for module in pkgutil.walk_packages(srdp.__path__, "srdp."):
            importlib.import_module(module.name)
        super().start()
