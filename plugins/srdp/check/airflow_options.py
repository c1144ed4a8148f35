"""Whether Airflow is configured as the project relies on."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from srdp.domain.common.errors import SettingsError
from srdp.domain.site.airflow_options import FILE, different, read_options

if TYPE_CHECKING:
    from srdp.settings import Settings


class OptionsDiffer(SettingsError):
    """Airflow has other options than those that the project relies on: a line for each reason."""

    longest = 10_000


def check_airflow_options(settings: Settings) -> str:
    """Compare the configuration of this environment's Airflow with the file that the project ships.

    Args:
        settings: they say where the project is.

    Raises:
        OptionsDiffer: an option that a site may not choose is another; the message says what that costs.
        SettingsError: the file cannot be read.
    """
    found = different(read_options(settings.home / FILE), _running)
    wrong = [
        f"{', '.join(f'[{option.section}] {option.name} is {value}, not {option.value}' for option, value in group)}: "
        f"{reason}"
        for reason, group in groupby((each for each in found if not each[0].may_differ), lambda each: each[0].reason)
    ]
    if wrong:
        raise OptionsDiffer("\n".join([*wrong, f"Give every component of Airflow the options of {FILE}."]))
    if not found:
        return f"every option is as in {FILE}."
    chosen = "; ".join(f"[{option.section}] {option.name} is {value}, not {option.value}" for option, value in found)
    return f"every option that matters is as in {FILE}. Chosen here, as a site may: {chosen}."


def _running(section: str, name: str) -> str | None:
    from airflow.configuration import conf

    value = conf.get(section, name, fallback=None)
    return None if value is None else str(value)
