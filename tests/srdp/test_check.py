"""The checks of the settings that need no server; the whole is checked on a running instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from srdp.check import (
    check_alma,
    check_areas,
    check_casa,
    check_further_installations,
    check_heuristics,
    check_reindex,
)
from srdp.domain.errors import SettingsError
from srdp.domain.families import ALMA, VLA
from srdp.settings import CasaInstallation, Settings

# Runs the script after -c with Python, as CASA does, and leaves its environment beside itself.
CASA = """#!/bin/sh
env > "$0.environment"
while [ "$1" != -c ]; do shift; done
exec python3 "$2"
"""


@pytest.fixture
def casa(settings: Settings) -> Path:
    settings.casa.write_text(CASA)
    settings.casa.chmod(0o755)
    return settings.casa


def test_casa_is_run_and_sees_none_of_airflows_keys(
    settings: Settings, casa: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", "postgresql://srdp:secret@127.0.0.1/ledger")
    assert check_casa(settings) == f"{casa} runs a script."
    assert "secret" not in Path(f"{casa}.environment").read_text()


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 0\n", "#!/bin/sh\necho broken >&2; exit 1\n", "#!/no/such\n"])
def test_a_casa_that_runs_no_script_is_named(settings: Settings, casa: Path, script: str) -> None:
    casa.write_text(script)
    with pytest.raises(SettingsError, match=f"{casa}.*see SRDP_CASA"):
        check_casa(settings)


def test_what_is_missing_is_named_with_its_variable(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="SRDP_CASA"):
        check_casa(settings)
    with pytest.raises(SettingsError, match="SRDP_SCIPIPE_HEURISTICS"):
        check_heuristics(settings)
    assert "a delivery is a rename" in check_areas(settings)
    settings.qa_area.rmdir()
    with pytest.raises(SettingsError, match="SRDP_QA_AREA"):
        check_areas(settings)


@pytest.mark.parametrize("name", ["alma_processing_area", "alma_qa_area"])
def test_areas_of_alma_count_where_they_are_named(settings: Settings, tmp_path: Path, name: str) -> None:
    with_alma = settings.model_copy(update={name: tmp_path / "alma"})
    with pytest.raises(SettingsError, match=f"alma is no directory: make it, or set SRDP_{name.upper()}"):
        check_areas(with_alma)
    with pytest.raises(SettingsError, match=f"SRDP_{name.upper()}"):
        check_areas(with_alma, ALMA)
    assert "a delivery is a rename" in check_areas(with_alma, VLA)
    (tmp_path / "alma").mkdir()
    assert "a delivery is a rename" in check_areas(with_alma)


def test_areas_on_two_file_systems_are_told(settings: Settings) -> None:
    with_alma = settings.model_copy(update={"alma_qa_area": Path("/dev/shm")})
    assert "QA area of ALMA are different file systems, so a delivery copies" in check_areas(with_alma)
    assert "a delivery is a rename" in check_areas(with_alma, VLA)


def test_an_observatory_without_alma_lacks_nothing(settings: Settings, tmp_path: Path) -> None:
    pipeline = settings.scipipe_heuristics / "pipeline"
    pipeline.mkdir(parents=True)
    assert "runpipeline.py is missing" in check_alma(settings)
    assert "without ALMA nothing is wrong" in check_alma(settings)
    with pytest.raises(SettingsError, match=r"runpipeline\.py is missing: set SRDP_SCIPIPE_HEURISTICS"):
        check_alma(settings.model_copy(update={"alma_qa_area": tmp_path}))
    (pipeline / "runpipeline.py").touch()
    assert check_alma(settings) == f"{pipeline / 'runpipeline.py'} is there."


@pytest.fixture
def further(settings: Settings, casa: Path, tmp_path: Path) -> Settings:
    """Settings that name a second CASA, which is in order; nothing is said of the first one's pipeline."""
    older = tmp_path / "older"
    (older / "pipeline").mkdir(parents=True)
    (older / "pipeline" / "runvlapipeline.py").touch()
    executable = older / "casa"
    executable.write_text(CASA)
    executable.chmod(0o755)
    installation = CasaInstallation(casa=executable, scipipe_heuristics=older)
    return settings.model_copy(update={"casa_installations": {"6.6.1": installation}})


def test_the_casas_that_a_rerun_may_choose_are_checked_too(settings: Settings, further: Settings) -> None:
    assert check_further_installations(settings) == "the settings name none."
    assert "6.6.1" in check_further_installations(further)
    assert "older/pipeline/runvlapipeline.py is there" in check_heuristics(further, "6.6.1")
    with pytest.raises(SettingsError, match=r"no CASA release '6\.5'"):
        check_heuristics(further, "6.5")


def test_a_further_casa_that_does_not_serve_is_named_by_its_release(further: Settings) -> None:
    installation = further.casa_installations["6.6.1"]
    (installation.scipipe_heuristics / "pipeline" / "runvlapipeline.py").unlink()
    with pytest.raises(SettingsError, match=r"scipipe_heuristics of 6\.6\.1 in SRDP_CASA_INSTALLATIONS"):
        check_further_installations(further)
    installation.casa.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(SettingsError, match=r"see casa of 6\.6\.1 in SRDP_CASA_INSTALLATIONS"):
        check_further_installations(further)
    installation.casa.unlink()
    with pytest.raises(SettingsError, match=r"set casa of 6\.6\.1 in SRDP_CASA_INSTALLATIONS"):
        check_further_installations(further)


def test_a_way_to_index_again_that_leads_nowhere_is_named(settings: Settings) -> None:
    assert "database" in check_reindex(settings)
    with pytest.raises(SettingsError, match="SRDP_REINDEX is http, but SRDP_REINDEX_URL"):
        check_reindex(settings.model_copy(update={"reindex": "http"}))
