from __future__ import annotations

from pathlib import Path

import pytest

from srdp.domain.common.errors import InvalidInput, SettingsError
from srdp.settings import Settings, load_settings

ENGINES = ("local", "slurm", "htcondor")
GOOD = {
    "SRDP_HOME": "/opt/srdp-workflows",
    "SRDP_PROCESSING_AREA": "/lustre/processing",
    "SRDP_QA_AREA": "/lustre/qa",
    "SRDP_SPOOL_AREA": "/lustre/spool",
    "SRDP_CASA": "/opt/casa/bin/casa",
    "SRDP_SCIPIPE_HEURISTICS": "/opt/pipeline",
    "SRDP_DATA_ANALYSTS": "one@example.org, two@example.org",
    "SRDP_OPERATIONS_MANAGERS": "manager@example.org",
    "SRDP_MAIL_FROM": "do-not-reply@example.org",
    "SRDP_AIRFLOW_URL": "https://airflow.example.org",
    "SRDP_RUN_FILES_URL": "https://files.example.org",
    "SRDP_WEBLOG_URL": "https://files.example.org/{pipeline_run_id}/{weblog}/t1-1.html",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("SRDP_")]:
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_good_variables_become_typed_values() -> None:
    settings = load_settings()
    assert settings.areas.qa == Path("/lustre/qa")
    assert settings.data_analysts == ("one@example.org", "two@example.org")
    assert settings.casa_arguments == ("--nogui", "--nologger", "--agg")
    assert settings.sql == Path("/opt/srdp-workflows/include/sql")


def test_settings_are_read_again_when_the_environment_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_settings()
    assert load_settings() is first
    monkeypatch.setenv("srdp_qa_area", "/lustre/other")
    monkeypatch.delenv("SRDP_QA_AREA")
    assert load_settings().areas.qa == Path("/lustre/other")


def test_an_engine_may_have_an_account_of_its_own_for_casa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRDP_SLURM__RUN_AS", "casanode")
    assert [load_settings().casa_account_of(each) for each in ENGINES] == [None, "casanode", None]
    monkeypatch.setenv("SRDP_CASA_ACCOUNT", "casapipe")
    assert [load_settings().casa_account_of(each) for each in ENGINES] == ["casapipe", "casanode", "casapipe"]


def test_a_local_job_is_never_looked_at_so_seldom_that_its_loss_is_reported_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [load_settings().poll_max_seconds_of(each) for each in ENGINES] == [15, 60, 60]
    monkeypatch.setenv("SRDP_POLL_MAX_SECONDS", "5")
    assert [load_settings().poll_max_seconds_of(each) for each in ENGINES] == [5, 5, 5]


def test_an_address_that_is_given_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRDP_ALMA_DATA_ANALYSTS", "one@example.org, two@example.org,one@example.org")
    assert load_settings().imaging_analysts == ("one@example.org", "two@example.org")


@pytest.mark.parametrize("missing", GOOD)
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(SettingsError, match=f"{missing}: is not set"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SRDP_QA_AREA", "qa"),
        ("SRDP_CASA", "casa"),
        ("SRDP_DATA_ANALYSTS", ""),
        ("SRDP_DATA_ANALYSTS", "somebody"),
        ("SRDP_MAIL_FROM", "a@example.org\nBcc: everybody@example.org"),
        ("SRDP_MAIL_DOMAINS", "*"),
        ("SRDP_MAIL_DOMAINS", "somebody@example.org"),
        ("SRDP_AIRFLOW_URL", "javascript:alert(1)"),
        ("SRDP_WEBLOG_URL", "https://files.example.org/{0.__class__}"),
        ("SRDP_WEBLOG_URL", "https://files.example.org/fixed"),
        ("SRDP_FETCH_STREAMS_PER_SERVER", "11"),
        ("SRDP_FETCH_STREAMS_PER_SERVER", "many"),
        ("SRDP_WATCH_POLL_SECONDS", "60"),
        ("SRDP_WATCH_BACKLOG_FROM", "yesterday"),
        ("SRDP_WATCH_BACKLOG_FROM", "2026-02-30"),
        ("SRDP_ENGINE", "pbs"),
        ("SRDP_ENGINES", "local,pbs"),
        ("SRDP_SLURM__OPTIONS", '["--requeue"]'),
        ("SRDP_SLURM__OPTIONS", '["--qos=a", "--wrap=id"]'),
        ("SRDP_SLURM__OPTIONS", '["--wra=id"]'),
        ("SRDP_SLURM__OPTIONS", '["--clusters=other"]'),
        ("SRDP_SLURM__OPTIONS", '["--het-group=1"]'),
        ("SRDP_SLURM__OPTIONS", '["--dependency=singleton"]'),
        ("SRDP_SLURM__OPTIONS", '["--signal=B:KILL@1"]'),
        ("SRDP_SLURM__OPTIONS", '["-p other"]'),
        ("SRDP_SLURM__PARTITION", "--wrap=id"),
        ("SRDP_SLURM__WALL_TIME_HOURS", "0"),
        ("SRDP_SLURM__RUN_AS", "root"),
        ("SRDP_HTCONDOR__RUN_AS", "-u root"),
        ("SRDP_OPERATOR", "vlapipe</Operator>"),
        ("SRDP_CASA_DEADLINE_HOURS", "0"),
    ],
)
def test_a_wrong_variable_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("two@example.org", True),  # of the settings
        ("user@example.org", False),
        ("user@example.edu", True),
        ("user@Astro.Example.EDU", True),
        ("user@notexample.edu", False),
        ("user@example.edu.attacker.example", False),
        ("user@attacker.example", False),
    ],
)
def test_mail_goes_to_the_addresses_of_the_settings_and_into_allowed_domains(
    monkeypatch: pytest.MonkeyPatch, address: str, may: bool
) -> None:
    assert load_settings().may_be_mailed(address) == (address in GOOD["SRDP_DATA_ANALYSTS"])
    monkeypatch.setenv("SRDP_MAIL_DOMAINS", "example.edu, observatory.example")
    assert load_settings().may_be_mailed(address) == may


def test_every_problem_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRDP_CASA")
    monkeypatch.setenv("SRDP_QA_AREA", "qa")
    with pytest.raises(SettingsError, match=r"SRDP_QA_AREA.*SRDP_CASA"):
        load_settings()


FURTHER = '{"6.6.1": {"casa": "/opt/casa-6.6.1/casa", "scipipe_heuristics": "/opt/pipeline-2024"}}'


def test_a_run_is_given_the_casa_that_it_was_opened_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRDP_CASA_RELEASE", "6.7.0")
    monkeypatch.setenv("SRDP_CASA_INSTALLATIONS", FURTHER)
    settings = load_settings()
    assert settings.casa_installation("6.7.0").casa == Path("/opt/casa/bin/casa")
    assert settings.casa_installation("6.6.1").scipipe_heuristics == Path("/opt/pipeline-2024")
    with pytest.raises(SettingsError, match=r"no CASA release '6\.5' in the settings, only 6\.6\.1, 6\.7\.0"):
        settings.casa_installation("6.5")


def test_runs_that_were_opened_before_the_release_had_a_name_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    opened_with = load_settings().casa_release
    monkeypatch.setenv("SRDP_CASA_RELEASE", "6.7.0")
    assert load_settings().casa_installation(opened_with).casa == Path("/opt/casa/bin/casa")
    # ... also when the first one is replaced and the former first one gets their name.
    monkeypatch.setenv("SRDP_CASA_INSTALLATIONS", FURTHER.replace("6.6.1", opened_with, 1))
    assert load_settings().casa_installation(opened_with).casa == Path("/opt/casa-6.6.1/casa")


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_an_engine_is_chosen_of_those_that_the_site_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRDP_ENGINE", "slurm")
    monkeypatch.setenv("SRDP_ENGINES", "local")
    monkeypatch.setenv("SRDP_SLURM__CORES", "16")
    monkeypatch.setenv("SRDP_SLURM__OPTIONS", '["--qos=srdp", "--exclusive"]')
    settings = load_settings()
    assert settings.allowed_engines == ("slurm", "local")
    assert settings.chosen_engine(None) == "slurm"
    assert settings.chosen_engine(" local ") == "local"
    assert (settings.cores_of("slurm"), settings.cores_of("local")) == (16, settings.default_cores)
    assert settings.slurm.options == ("--qos=srdp", "--exclusive")
    with pytest.raises(InvalidInput, match="choose slurm or local, or add it to SRDP_ENGINES"):
        settings.chosen_engine("htcondor")
