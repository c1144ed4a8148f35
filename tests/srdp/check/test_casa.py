"""CASA is started as a run starts it, and imports what the pipeline's runners import."""

from __future__ import annotations

import ctypes
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from tests.programs.casa_contract import install

from srdp.check.casa import check_casa, check_heuristics
from srdp.domain.common.errors import ServiceUnavailable, SettingsError
from srdp.settings import CasaInstallation, Settings

HOME = Path(__file__).parents[3]
# Runs the script after -c with Python, as CASA does, and leaves its environment beside itself.
CASA = f"""#!/bin/sh
env > "$0.environment"
while [ "$1" != -c ]; do shift; done
exec {sys.executable} -I "$2"
"""
# As the observatory's: the release of 2026, which finds the pipeline in CASA, and an older one, which says where it is.
RUNNER = "import casashell\nimport pipeline.infrastructure.{} as eppr\nif __name__ == '__main__':\n    eppr.run()\n"
OLDER = (
    "import os, sys\nsys.path.insert (0, os.path.expandvars('$SCIPIPE_HEURISTICS'))\n"
    "import pipeline.infrastructure.{} as eppr\neppr.run(sys.argv[5])\n"
)


def install_pipeline(folder: Path, runner: str = OLDER) -> Path:
    package = folder / "pipeline"
    (package / "infrastructure").mkdir(parents=True)
    (package / "__init__.py").write_text("revision = '2026.1.0.7'\n")
    for name, script in (("executevlappr", "runvlapipeline.py"), ("executeppr", "runpipeline.py")):
        (package / script).write_text(runner.format(name))
        (package / "infrastructure" / f"{name}.py").write_text("def run(ppr):\n    raise SystemExit('a PPR was run')\n")
    return folder


def install_casa(path: Path, content: str = CASA) -> Path:
    path.write_text(content)
    path.chmod(0o755)
    return path


@pytest.fixture
def with_pipeline(settings: Settings) -> Settings:
    install_casa(settings.casa)
    install_pipeline(settings.scipipe_heuristics)
    return settings


def test_the_runners_imports_are_tried_and_no_ppr_is_run(
    with_pipeline: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", "postgresql://srdp:secret@127.0.0.1/ledger")
    heuristics = with_pipeline.scipipe_heuristics
    assert check_casa(with_pipeline) == (
        f"{with_pipeline.casa} runs; runvlapipeline.py and runpipeline.py of {heuristics} import pipeline 2026.1.0.7 "
        f"from {heuristics / 'pipeline'}."
    )
    environment = Path(f"{with_pipeline.casa}.environment").read_text()
    assert "secret" not in environment
    assert f"SCIPIPE_HEURISTICS={heuristics}" in environment.splitlines()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("runvlapipeline.py", RUNNER.format("executevlappr"), "No module named 'casashell'"),
        ("runpipeline.py", OLDER.format("gone"), "No module named 'pipeline.infrastructure.gone'"),
        ("infrastructure/executeppr.py", "import numpy_of_another_casa\n", "numpy_of_another_casa"),
        ("infrastructure/executevlappr.py", "raise SystemExit(3)\n", "SystemExit: 3"),
        ("runpipeline.py", "import (\n", "runpipeline.py cannot import what it needs: SyntaxError"),
        ("__init__.py", None, "is no package, it has no __init__.py"),
        ("__init__.py", "raise RuntimeError('made for another CASA')\n", "made for another CASA"),
    ],
)
def test_failed_pipeline_import_is_reported_verbatim(
    with_pipeline: Settings, file: str, content: str | None, said: str
) -> None:
    path = with_pipeline.scipipe_heuristics / "pipeline" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SettingsError, match=r"runs, but .*set SRDP_SCIPIPE_HEURISTICS to the one") as raised:
        check_casa(with_pipeline)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\nexit 0\n", "ended with 0 and said 'nothing'"),
        ("#!/bin/sh\necho broken >&2; exit 1\n", "ended with 1 and said 'broken'"),
        ("#!/no/such\n", "does not run: No such file"),
        (None, "cannot be executed"),
    ],
)
def test_a_casa_that_runs_no_script_is_named(with_pipeline: Settings, script: str | None, said: str) -> None:
    install_casa(with_pipeline.casa, script) if script else with_pipeline.casa.unlink()
    with pytest.raises(SettingsError, match=f"{with_pipeline.casa}.*{said}.*SRDP_CASA"):
        check_casa(with_pipeline)


def test_a_casa_that_hangs_is_ended_with_its_children(with_pipeline: Settings, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    install_casa(with_pipeline.casa, f"#!/bin/sh\nsleep 600 &\necho $! > {pid}.part; mv {pid}.part {pid}\nwait\n")
    with pytest.raises(ServiceUnavailable, match=r"did not finish within 1\.0 seconds.*SRDP_CASA"):
        check_casa(with_pipeline, seconds=1.0)
    state = subprocess.run(["ps", "-o", "stat=", pid.read_text().strip()], capture_output=True, text=True, check=False)
    assert state.stdout.strip()[:1] in ("", "Z")


def test_an_observatory_without_alma_lacks_nothing(with_pipeline: Settings, tmp_path: Path) -> None:
    (with_pipeline.scipipe_heuristics / "pipeline" / "runpipeline.py").unlink()
    said = check_casa(with_pipeline)
    assert "; runvlapipeline.py of" in said
    assert "runpipeline.py is missing" in said
    assert "without ALMA nothing is wrong" in said
    with pytest.raises(SettingsError, match=r"runpipeline\.py is missing: set SRDP_SCIPIPE_HEURISTICS"):
        check_casa(with_pipeline.model_copy(update={"alma_qa_area": tmp_path}))


def test_every_casa_release_is_checked_by_name(with_pipeline: Settings, tmp_path: Path) -> None:
    older = install_pipeline(tmp_path / "older")
    installation = CasaInstallation(casa=install_casa(older / "casa"), scipipe_heuristics=older)
    further = with_pipeline.model_copy(update={"casa_installations": {"6.6.1": installation}})
    assert f"from {older / 'pipeline'}" in check_casa(further, "6.6.1")
    assert "older/pipeline/runvlapipeline.py is there" in check_heuristics(further, "6.6.1")
    with pytest.raises(SettingsError, match=r"no CASA release '6\.5'"):
        check_heuristics(further, "6.5")
    (older / "pipeline" / "__init__.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(SettingsError, match=r"set scipipe_heuristics of 6\.6\.1 in SRDP_CASA_INSTALLATIONS"):
        check_casa(further, "6.6.1")
    install_casa(older / "casa", "#!/bin/sh\nexit 3\n")
    with pytest.raises(SettingsError, match=r"see casa of 6\.6\.1 in SRDP_CASA_INSTALLATIONS"):
        check_casa(further, "6.6.1")
    (older / "pipeline" / "runvlapipeline.py").unlink()
    with pytest.raises(SettingsError, match=r"missing: set scipipe_heuristics of 6\.6\.1 in SRDP_CASA_INSTALLATIONS"):
        check_casa(further, "6.6.1")


def test_the_contract_casa_answers_as_a_real_one(settings: Settings, tmp_path: Path) -> None:
    contract = install(tmp_path / "contract")
    answered = settings.model_copy(update={"casa": contract.casa, "scipipe_heuristics": contract.heuristics})
    assert f"import pipeline 2024.1.0.8 from {contract.heuristics / 'pipeline'}" in check_casa(answered)
    assert contract.starts() == []


@pytest.mark.casa
def test_real_casa_imports_the_sandboxs_pipeline(settings: Settings) -> None:
    casa, heuristics = HOME / "include" / "casa" / "casa", HOME / "include" / "sandbox" / "pipeline"
    answered = settings.model_copy(update={"casa": casa, "scipipe_heuristics": heuristics})
    assert f"import pipeline sandbox-1.0 from {heuristics / 'pipeline'}" in check_casa(answered, seconds=300)
    broken = settings.model_copy(update={"casa": casa})
    install_pipeline(broken.scipipe_heuristics, RUNNER)
    with pytest.raises(SettingsError, match="No module named 'pipeline'"):
        check_casa(broken, seconds=300)


_PR_SET_NO_NEW_PRIVS = 38


def _get_no_further_privileges() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def test_sudo_refused_in_a_container_is_reported(with_pipeline):
    with_pipeline.spool_area.chmod(0o711)
    of_another_account = with_pipeline.model_copy(update={"casa_account": "nobody"})
    fork = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, fork, _get_no_further_privileges) as container,
        pytest.raises(SettingsError, match=r"no-new-privileges.* leave SRDP_CASA_ACCOUNT empty"),
    ):
        container.submit(check_casa, of_another_account).result()
