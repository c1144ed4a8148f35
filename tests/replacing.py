"""Replaces a function or a class of the library wherever it has been imported."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import pytest

import srdp.services


def imported_as(found: object) -> list[tuple[object, str]]:
    """Return the modules of the library that hold an object, and under which name.

    Args:
        found: a function or a class.
    """
    return [
        (module, name)
        for place, module in sorted(sys.modules.items())
        if place.split(".")[0] == "srdp"
        for name, value in vars(module).items()
        if value is found
    ]


def replace_everywhere(monkeypatch: pytest.MonkeyPatch, name: str, new: object) -> None:
    """Replace a function or class in its module and in every module that has imported it.

    Args:
        monkeypatch: undoes it.
        name: module and object, ``package.module:name``.
        new: what takes its place.
    """
    # One that is imported only afterwards would keep what takes its place, for all tests behind this one.
    for service in pkgutil.walk_packages(srdp.services.__path__, "srdp.services."):
        importlib.import_module(service.name)
    module, _, last = name.partition(":")
    found = getattr(importlib.import_module(module), last)
    for holder, known_as in imported_as(found):
        monkeypatch.setattr(holder, known_as, new)
