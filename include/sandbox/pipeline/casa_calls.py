"""Calls of CASA tasks, written down before they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class CasaCalls:
    """Calls CASA's tasks and writes each call to ``casa_commands.log``, so that a person can repeat it by hand."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._of_stage: list[str] = []

    def begin_stage(self, title: str) -> None:
        """Begins the list of a stage's calls.

        Args:
            title: the stage, as it shall stand in the log.
        """
        self._of_stage = []
        self._append(f"\n# {title}\n#\n")

    @property
    def of_stage(self) -> tuple[str, ...]:
        """The calls since the stage began."""
        return tuple(self._of_stage)

    def __call__(self, task: str, **arguments: object) -> Any:  # noqa: ANN401  CASA's tasks have no types
        """Call a task of casatasks.

        Args:
            task: its name, for example ``gaincal``.
            arguments: its arguments.
        """
        import casatasks

        call = as_python(task, arguments)
        self._of_stage.append(call)
        self._append(call + "\n")
        return getattr(casatasks, task)(**arguments)

    def _append(self, text: str) -> None:
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(text)


def as_python(task: str, arguments: dict[str, object]) -> str:
    """Return the call as a line of Python."""
    return f"{task}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
