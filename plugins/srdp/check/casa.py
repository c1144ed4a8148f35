"""Whether CASA runs and finds its pipeline, for each release that a run may be given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srdp.check.casa_account import run_as
from srdp.check.concurrently import LIMIT_SECONDS
from srdp.domain.common.errors import ServiceUnavailable, SettingsError, quoted
from srdp.engines.spooled import inherited_environment
from srdp.families import VLA, Family, families

if TYPE_CHECKING:
    from srdp.settings import Settings

#: What CASA's answer begins with, among all else that it prints; ``include/casa/import_pipeline.py`` prints it.
_ANSWER = "srdp-check: "
_FURTHER = "SRDP_CASA_INSTALLATIONS"


def check_heuristics(settings: Settings, release: str | None = None, family: Family = VLA) -> str:
    """Look for the pipeline's runner.

    Args:
        settings: the settings.
        release: the CASA release whose pipeline it is; the settings' first if none is named.
        family: whose runner.

    Raises:
        SettingsError: it is not there, or the settings name no such release.
    """
    installation = settings.casa_installation(release or settings.casa_release)
    is_first = installation.scipipe_heuristics == settings.scipipe_heuristics
    place = Path("pipeline") / family.runner
    runner = installation.scipipe_heuristics / place
    if not runner.is_file():
        variable = "SRDP_SCIPIPE_HEURISTICS" if is_first else f"scipipe_heuristics of {release} in {_FURTHER}"
        raise SettingsError(f"{runner} is missing: set {variable} to the folder that holds {place}.")
    return f"{runner} is there."


def check_casa(settings: Settings, release: str | None = None, *, seconds: float = LIMIT_SECONDS) -> str:
    """Start CASA as a run starts it, and have it import what the pipeline's runners import.

    Args:
        settings: the settings.
        release: which CASA; the settings' first if none is named.
        seconds: how long it may take; then it is ended.

    Raises:
        ServiceUnavailable: CASA did not come to an end in time.
        SettingsError: CASA is missing or does not run, a runner is missing, or what it imports cannot be imported; the
            sentence has CASA's own words.
    """
    release = release or settings.casa_release
    able, without = _families(settings, release)
    answer = _asked(settings, release, dict.fromkeys(family.runner for family in able), seconds)
    wrong = [f"{runner} cannot import what it needs: {error}" for runner, error in answer["runners"].items() if error]
    if answer["fault"]:
        wrong.append(f"`import pipeline` fails: {answer['fault']}")
    installation = settings.casa_installation(release)
    if wrong:
        raise SettingsError(
            f"{installation.casa} runs, but {quoted('; '.join(wrong), 600)}: install the pipeline into this CASA, or "
            f"set {_variable(settings, release, 'scipipe_heuristics')} to the one that belongs to it."
        )
    runners = " and ".join(dict.fromkeys(family.runner for family in able))
    return (
        f"{installation.casa} runs; {runners} of {installation.scipipe_heuristics} import pipeline "
        f"{answer['version']} from {answer['place']}.{_under(settings)}{without}"
    )


def _under(settings: Settings) -> str:
    return f" It runs under the account {settings.casa_account}." if settings.casa_account else ""


def _families(settings: Settings, release: str) -> tuple[list[Family], str]:
    """Return the families that a release can run, and what to say of those that it need not run."""
    found, without = [], ""
    for family in families():
        try:
            check_heuristics(settings, release, family)
        except SettingsError as problem:
            has_areas = any(getattr(settings, name) is not None for name in family.own_areas or ())
            if not family.runner_may_be_missing or (has_areas and release == settings.casa_release):
                raise
            label = family.label
            without += f" {problem} Until then runs of {label} are refused; without {label} nothing is wrong."
        else:
            found.append(family)
    return found, without


def _asked(settings: Settings, release: str, runners: Iterable[str], seconds: float) -> dict[str, Any]:
    installation = settings.casa_installation(release)
    casa, variable = installation.casa, _variable(settings, release, "casa")
    if not casa.is_file() or not os.access(casa, os.X_OK):
        raise SettingsError(f"{casa} cannot be executed: set {variable} to the casa executable.")
    command = [str(casa), *settings.casa_arguments, "-c", str(settings.casa_programs / "import_pipeline.py")]
    called = f"{casa} {' '.join(settings.casa_arguments)}"
    try:
        code, stdout, stderr = _run(settings, command, installation.scipipe_heuristics, runners, seconds)
    except OSError as error:
        raise SettingsError(f"{casa} does not run: {error.strerror}; see {variable}.") from None
    except subprocess.TimeoutExpired:
        raise ServiceUnavailable(
            f"{called} did not finish within {seconds:.1f} seconds: try again, since the first start "
            f"takes longest; then see {variable} and SRDP_CASA_ARGUMENTS."
        ) from None
    for line in reversed(stdout.splitlines()):
        if line.startswith(_ANSWER):
            answer: dict[str, Any] = json.loads(line.removeprefix(_ANSWER))
            return answer
    output = (stderr.strip() or stdout.strip() or "nothing").splitlines()[-1]
    raise SettingsError(
        f"{called} ended with {code} and said {quoted(output, 200)}: see {variable} and SRDP_CASA_ARGUMENTS."
    )


def _run(
    settings: Settings, command: list[str], heuristics: Path, runners: Iterable[str], seconds: float
) -> tuple[int, str, str]:
    """Run CASA in a folder of its own, with the environment of a run and without the keys to the databases."""
    account = settings.casa_account
    environment = inherited_environment(another_account=account is not None) | {
        "SCIPIPE_HEURISTICS": str(heuristics),
        "SRDP_CHECK_RUNNERS": ",".join(runners),
    }
    if account is not None:
        return run_as(settings, account, command, environment, seconds)
    with (
        tempfile.TemporaryDirectory(prefix="srdp-check-", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, stdout, stderr


def _variable(settings: Settings, release: str, name: str) -> str:
    if release == settings.casa_release:
        return f"SRDP_{name.upper()}"
    return f"{name} of {release} in {_FURTHER}"
