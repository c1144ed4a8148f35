"""Checks the settings and everything that they point to, before a run finds out.

``python -m srdp.check`` prints a line for each check and exits with 0 if all are right. Run it in the environment of
Airflow's components, where the settings are. Heavy imports stand inside the functions: a DAG may import this module.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from srdp.domain.errors import InvalidInput, SettingsError, SrdpError, quoted
from srdp.domain.families import ALMA, FAMILIES, VLA, Family
from srdp.domain.identifiers import Locator
from srdp.settings import load_settings

if TYPE_CHECKING:
    from srdp.settings import Settings

#: Airflow's pools by name: what each limits, and whether it must count deferred tasks to do so.
POOLS = {"casa": ("CASA jobs at once", True), "fetch": ("fetches at once", False)}
_CASA_SECONDS = 180
_CASA_SAYS = "casa runs scripts"
_FURTHER = "SRDP_CASA_INSTALLATIONS"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: what was checked.
        is_right: whether it is as it must be.
        sentence: what was found; if it is not right, what to set.
    """

    name: str
    is_right: bool
    sentence: str

    def __str__(self) -> str:
        """The finding as one line."""
        return f"{'OK   ' if self.is_right else 'WRONG'}  {self.name}: {self.sentence}"


def check_everything(*, with_pool: bool) -> Iterator[Finding]:
    """Checks, one thing after the other, and yields what was found.

    Args:
        with_pool: also look at the pool in Airflow's own database, which a task may not read.
    """
    try:
        settings = load_settings()
    except SettingsError as problem:
        yield Finding("settings", is_right=False, sentence=str(problem))
        return
    yield Finding("settings", is_right=True, sentence="every variable is set and valid.")
    checks: dict[str, Callable[[Settings], str]] = {
        "project": check_home,
        "areas": check_areas,
        "casa": check_casa,
        "pipeline": check_heuristics,
        "ALMA": check_alma,
        "further CASA": check_further_installations,
        "ledger": check_ledger,
        "archive": check_archive,
        "reindex": check_reindex,
        "locator": check_locator,
        "ngas": check_ngas,
        "mail": check_mail_server,
    }
    if with_pool:
        checks["pools"] = check_pools
    for name, check in checks.items():
        yield _finding(name, check, settings)


def check_home(settings: Settings) -> str:
    """Looks for the SQL statements and templates.

    Raises:
        SettingsError: the project's folder is not complete.
    """
    for folder in (settings.sql, settings.templates):
        if not folder.is_dir():
            raise SettingsError(f"{folder} is missing: set SRDP_HOME to the project's own folder, complete.")
    return f"{settings.home} holds the statements and templates."


def check_areas(settings: Settings, family: Family | None = None) -> str:
    """Writes and removes a folder in each area.

    Args:
        settings: the settings.
        family: whose areas; those of all families if none is given.

    Raises:
        SettingsError: an area is missing or cannot be written.
    """
    for variable, area in _areas(settings, family).items():
        if not area.is_dir():
            raise SettingsError(f"{area} is no directory: make it, or set {variable} to another.")
        try:
            with tempfile.TemporaryDirectory(prefix=".check-", dir=area):
                pass
        except OSError as error:
            raise SettingsError(
                f"{area} cannot be written ({error.strerror}): give this account the right, or set {variable} to "
                "another."
            ) from None
    apart = [
        each.label
        for each in FAMILIES
        if family in (None, each) and not _on_one_file_system(_run_areas(settings, each))
    ]
    if not apart:
        return "all can be written; a delivery is a rename."
    return (
        f"all can be written; processing and QA area of {' and '.join(apart)} are different file systems, so a "
        "delivery copies."
    )


def _areas(settings: Settings, family: Family | None) -> dict[str, Path]:
    """Returns the areas by the variables that name them."""
    areas = {"SRDP_SPOOL_AREA": settings.spool_area}
    for each in FAMILIES if family is None else (family,):
        processing, qa = _run_areas(settings, each)
        own = each is ALMA and settings.alma_processing_area is not None
        areas["SRDP_ALMA_PROCESSING_AREA" if own else "SRDP_PROCESSING_AREA"] = processing
        own = each is ALMA and settings.alma_qa_area is not None
        areas["SRDP_ALMA_QA_AREA" if own else "SRDP_QA_AREA"] = qa
    return areas


def _run_areas(settings: Settings, family: Family) -> tuple[Path, Path]:
    areas = settings.areas
    return (areas.alma_processing, areas.alma_qa) if family is ALMA else (areas.processing, areas.qa)


def _on_one_file_system(areas: tuple[Path, Path]) -> bool:
    return len({area.stat().st_dev for area in areas}) == 1


def check_casa(settings: Settings) -> str:
    """Runs a script of one line with CASA, called as a run calls it.

    Raises:
        SettingsError: CASA is missing or does not run it.
    """
    _run_casa(settings, settings.casa, "SRDP_CASA")
    return f"{settings.casa} runs a script."


def check_heuristics(settings: Settings, release: str | None = None, family: Family = VLA) -> str:
    """Looks for the pipeline's runner.

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


def check_alma(settings: Settings) -> str:
    """Looks for what runs of ALMA need besides; that is wrong only where the settings name areas for them.

    Raises:
        SettingsError: the settings have areas for ALMA, and its runner is not there.
    """
    try:
        return check_heuristics(settings, family=ALMA)
    except SettingsError as problem:
        if settings.alma_processing_area is not None or settings.alma_qa_area is not None:
            raise
        return f"{problem} Until then runs of ALMA are refused; without ALMA nothing is wrong."


def check_further_installations(settings: Settings) -> str:
    """Checks each CASA that a rerun may choose besides the first, as that is checked.

    Raises:
        SettingsError: one is missing or does not run; the sentence names its release.
    """
    for release, installation in settings.casa_installations.items():
        _run_casa(settings, installation.casa, f"casa of {release} in {_FURTHER}")
        check_heuristics(settings, release)
    if not settings.casa_installations:
        return "the settings name none."
    return f"{', '.join(settings.casa_installations)}: each runs a script and has its pipeline."


def _run_casa(settings: Settings, casa: Path, variable: str) -> None:
    from srdp.engines.local import inherited_environment

    if not os.access(casa, os.X_OK) or not casa.is_file():
        raise SettingsError(f"{casa} cannot be executed: set {variable} to the casa executable.")
    with tempfile.TemporaryDirectory(prefix=".check-", dir=settings.spool_area) as folder:
        script = Path(folder) / "check.py"
        script.write_text(f"print({_CASA_SAYS!r})\n", encoding="ascii")
        command = [str(casa), *settings.casa_arguments, "-c", str(script)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=inherited_environment(),  # as a run starts it, and without the keys to the databases
                capture_output=True,
                text=True,
                timeout=_CASA_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SettingsError(f"{casa} does not run: {error}; see {variable}.") from None
    if _CASA_SAYS not in done.stdout:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise SettingsError(
            f"{casa} {' '.join(settings.casa_arguments)} ended with {done.returncode} and said "
            f"{quoted(said, 200)}: see {variable} and SRDP_CASA_ARGUMENTS."
        )


def check_ledger(settings: Settings) -> str:
    """Compares the version of the ledger's tables with the present one.

    Raises:
        SrdpError: it cannot be reached, or has another version.
    """
    from srdp.hooks.ledger_schema import migrations
    from srdp.hooks.postgres import rows, transaction

    with transaction(settings.ledger_connection, what="The ledger") as cursor:
        (row,) = rows(cursor, settings.sql / "check" / "ledger_version.sql")
    wanted = len(migrations(settings.sql))
    if row["version"] != wanted:
        raise SettingsError(
            f"The ledger's tables have version {row['version']} and must have {wanted}: run "
            "`python -m srdp.hooks.ledger_schema`."
        )
    return f"its tables have version {wanted}."


def check_archive(settings: Settings) -> str:
    """Asks the archive what was ingested in this moment, and whether it could execute every statement.

    Raises:
        SrdpError: it cannot be reached, or its tables are not as the statements expect them, or may not be used.
    """
    from srdp.hooks.archive import ArchiveHook

    archive = ArchiveHook(settings)
    archive.ingested_since(archive.now())
    archive.check_statements()
    return "it answers, and has what every statement needs."


def check_reindex(settings: Settings) -> str:
    """Looks whether the settings say how a project is indexed again; asks for none.

    Raises:
        SettingsError: they name no address to ask at.
    """
    from srdp.hooks.reindex import ReindexHook

    return ReindexHook(settings).check()


def check_locator(settings: Settings) -> str:
    """Asks the locator service for something that does not exist, and expects to be told so.

    Raises:
        SrdpError: it cannot be reached, or its address is wrong.
    """
    from srdp.hooks.locator import LocatorHook

    nothing = Locator(f"uid://evla/execblock/{uuid.UUID(int=0)}")
    with contextlib.suppress(InvalidInput):
        LocatorHook(settings.locator_connection, attempts=1).report(nothing)
    return "it answers."


def check_ngas(settings: Settings) -> str:
    """Asks the NGAS server for its status.

    Raises:
        SettingsError: it cannot be reached or is offline.
    """
    from srdp.hooks.ngas import NgasHook

    is_right, sentence = NgasHook(settings.ngas_connection).test_connection()
    if not is_right:
        raise SettingsError(sentence)
    return sentence


def check_mail_server(settings: Settings) -> str:
    """Opens a session with the mail server, login and encryption included, and sends nothing.

    Raises:
        SettingsError: it does not answer, or refuses the login.
    """
    from srdp.hooks.mail_server import MailServerHook

    try:
        with MailServerHook(smtp_conn_id=settings.smtp_connection):
            return "it answers."
    except Exception as error:  # noqa: BLE001  the provider raises what smtplib, ssl and Airflow raise
        raise SettingsError(
            f"The mail server of the Airflow Connection {settings.smtp_connection} does not serve: {error}"
        ) from None


def check_pools(settings: Settings) -> str:  # noqa: ARG001  as all checks
    """Looks at the pools that limit what runs at once.

    Raises:
        SettingsError: one is missing, or does not count deferred tasks and must.
    """
    from airflow.models.pool import Pool

    slots = []
    for name, (what, deferred) in POOLS.items():
        pool = Pool.get_pool(name)
        remedy = f"run `airflow pools set {name} <number> '{what}'{' --include-deferred' if deferred else ''}`."
        if pool is None:
            raise SettingsError(f"Airflow has no pool {name}: {remedy}")
        if deferred and not pool.include_deferred:
            raise SettingsError(
                f"The pool {name} does not count deferred tasks, so it limits nothing while they wait: {remedy}"
            )
        slots.append(f"{pool.slots} {what}")
    return f"{', '.join(slots)}."


def main() -> int:
    """Prints every finding; returns 0 if all are right."""
    # Airflow's servers read connections from its database too, and not from the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    all_right = True
    for finding in check_everything(with_pool=True):
        print(finding, flush=True)
        all_right &= finding.is_right
    return 0 if all_right else 1


def _finding(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, is_right=True, sentence=check(settings))
    except SrdpError as problem:
        return Finding(name, is_right=False, sentence=str(problem))


if __name__ == "__main__":
    sys.exit(main())
