"""Every setting of the project, typed and validated in one place.

A setting is an environment variable with the prefix ``SRDP_`` (``SRDP_PROCESSING_AREA`` for
``processing_area``). Servers are Airflow Connections, whose names are settings too. Settings are read when a
task runs, never while a DAG file is parsed.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from srdp.domain.common.errors import SettingsError
from srdp.settings.archiving import ArchivingSettings
from srdp.settings.areas import AreaSettings
from srdp.settings.casa import CasaInstallation, CasaSettings
from srdp.settings.people import PeopleSettings
from srdp.settings.processing import ProcessingSettings
from srdp.settings.retention import RetentionSettings
from srdp.settings.services import ServiceSettings

__all__ = ["GROUPS", "CasaInstallation", "Settings", "load_settings"]


class Settings(
    ServiceSettings,
    PeopleSettings,
    RetentionSettings,
    ArchivingSettings,
    ProcessingSettings,
    CasaSettings,
    AreaSettings,
):
    """All settings of the project."""

    @property
    def retention(self) -> Path:
        """The text file that says what is kept for how long."""
        return self.retention_file or self.home / "include" / "retention.txt"


#: The groups of settings, in the order of ``docs/settings.md``.
GROUPS = (
    AreaSettings,
    CasaSettings,
    ProcessingSettings,
    ArchivingSettings,
    RetentionSettings,
    PeopleSettings,
    ServiceSettings,
)


def load_settings() -> Settings:
    """Return the settings of this process, read from its environment now.

    Raises:
        SettingsError: one sentence that names every variable that is missing or wrong, and what is wrong with it.
    """
    return _settings_of(
        frozenset((name, value) for name, value in os.environ.items() if name.upper().startswith("SRDP_"))
    )


@lru_cache(maxsize=1)
def _settings_of(_environment: frozenset[tuple[str, str]]) -> Settings:
    """Return what the environment says, which takes ten milliseconds: once, as long as it says the same."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            _where(problem["loc"]) + ("is not set" if problem["type"] == "missing" else problem["msg"])
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("Correct these variables and try again: " + "; ".join(problems) + ".") from None


def _where(loc: tuple[int | str, ...]) -> str:
    """Return the variable that a problem is about, as the beginning of a sentence; nothing if it is about several."""
    names = [str(part).upper() for part in loc if isinstance(part, str)]
    return f"SRDP_{'__'.join(names)}: " if names else ""
