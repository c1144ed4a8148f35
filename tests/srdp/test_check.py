"""The checks of the settings that need no server; the whole is checked on a running instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from srdp.check import check_areas, check_casa, check_heuristics
from srdp.domain.errors import SettingsError
from srdp.settings import Settings

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
