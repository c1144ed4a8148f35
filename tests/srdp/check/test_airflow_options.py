"""What is said of an Airflow that is configured otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from srdp.check import airflow_options as module
from srdp.check.airflow_options import OptionsDiffer, check_airflow_options
from srdp.domain.site.airflow_options import FILE, read_options
from srdp.settings import Settings

SHIPPED = {(option.section, option.name): option.value for option in read_options(Path(__file__).parents[3] / FILE)}
ORPHANS = ("scheduler", "orphaned_tasks_check_interval")
EXECUTOR = ("core", "executor")


def running(monkeypatch: pytest.MonkeyPatch, **other: str) -> None:
    values = SHIPPED | {ORPHANS: other.get("orphans", SHIPPED[ORPHANS])}
    values |= {EXECUTOR: other.get("executor", SHIPPED[EXECUTOR])}
    monkeypatch.setattr(module, "_running", lambda section, name: values[section, name])


def test_costly_option_is_named_with_value_and_cost(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    running(monkeypatch)
    assert check_airflow_options(settings) == f"every option is as in {FILE}."
    running(monkeypatch, orphans="300.0", executor="CeleryExecutor")
    with pytest.raises(OptionsDiffer) as reported:
        check_airflow_options(settings)
    first, last = str(reported.value).splitlines()
    assert first.startswith("[scheduler] orphaned_tasks_check_interval is 300.0, not 10: How often")
    assert "were blocked" in first
    assert str(FILE) in last


def test_what_a_site_may_choose_is_mentioned_and_not_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    running(monkeypatch, executor="CeleryExecutor")
    assert "[core] executor is CeleryExecutor, not srdp.executors" in check_airflow_options(settings)


def test_unconfigured_airflow_gets_every_option_reported(settings: Settings) -> None:
    """This process has Airflow's own defaults."""
    with pytest.raises(OptionsDiffer) as reported:
        check_airflow_options(settings)
    for name in ("orphaned_tasks_check_interval", "task_instance_heartbeat_timeout", "min_file_process_interval"):
        assert f"{name} is " in str(reported.value)
