"""The options of Airflow that the project relies on, read from the one file that everybody uses, and compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import SettingsError

FILE: Final = Path("include", "airflow", "airflow.env")
"""The file, below the project's folder."""

_LINE = re.compile(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)=(\S*)")
_MAY_DIFFER = "May differ: "


@dataclass(frozen=True, kw_only=True)
class AirflowOption:
    """One option of Airflow.

    Attributes:
        section: its section in Airflow's configuration.
        name: its name there.
        value: what the project relies on.
        reason: why, and what another value costs.
        may_differ: when a site may choose another value; empty: never.
    """

    section: str
    name: str
    value: str
    reason: str
    may_differ: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"AIRFLOW__{self.section}__{self.name}".upper()

    def is_met_by(self, value: str | None) -> bool:
        """Return whether a running Airflow's value means the same; ``10.0`` means the same as ``10``.

        Args:
            value: what it has; None: it does not know the option.
        """
        return value is not None and _meaning(value) == _meaning(self.value)


def _meaning(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value.strip().lower()


def read_options(file: Path) -> tuple[AirflowOption, ...]:
    """Read the options with their reasons: the comment above an option, or above the group of options that it is in.

    Args:
        file: the file, see :data:`FILE`.

    Raises:
        SettingsError: it cannot be read, or a line is neither a comment nor an option.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read ({error.strerror}): set SRDP_HOME to the project's folder."
        ) from None
    return tuple(_options(file, text))


def _options(file: Path, text: str) -> Iterator[AirflowOption]:
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif not line.strip():
            comment = []
        elif (option := _LINE.fullmatch(line)) is None:
            raise SettingsError(
                f"{file}, line {number}: '{line}' is no comment and not AIRFLOW__SECTION__OPTION=value."
            )
        else:
            section, name, value = option.groups()
            reason, _, may_differ = " ".join(comment).partition(_MAY_DIFFER)
            yield AirflowOption(
                section=section.lower(), name=name.lower(), value=value, reason=reason.strip(), may_differ=may_differ
            )


def different(
    options: Sequence[AirflowOption], running: Callable[[str, str], str | None]
) -> list[tuple[AirflowOption, str | None]]:
    """Return the options that have another value in a running Airflow, each with that value.

    Args:
        options: what the project relies on.
        running: returns the value of an option by its section and name; None if there is no such option.
    """
    values = [(option, running(option.section, option.name)) for option in options]
    return [(option, value) for option, value in values if not option.is_met_by(value)]
