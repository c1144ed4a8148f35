"""Whether databases and servers answer, and do what the workflows need of them."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from srdp.check import POOLS
from srdp.check.airflow_options import check_airflow_options
from srdp.check.areas import check_area, check_moves, check_places
from srdp.check.casa import check_casa
from srdp.check.concurrently import LIMIT_SECONDS, Check, Finding, findings
from srdp.check.pooler import pooler
from srdp.domain.common.errors import InvalidInput, SettingsError
from srdp.domain.retention.brake import check_clocks
from srdp.domain.retention.rules import read_retention
from srdp.domain.runs.identifiers import Locator, execution_block_name, locator
from srdp.families import retention_kinds
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.engines import engine
from srdp.hooks.ledger_schema import migrations
from srdp.hooks.locator import LocatorHook
from srdp.hooks.mail_server import MailServerHook
from srdp.hooks.ngas import NgasHook
from srdp.hooks.ngas_probe import probe_ngas
from srdp.hooks.postgres import rows, transaction
from srdp.hooks.reindex import ReindexHook
from srdp.settings import load_settings

if TYPE_CHECKING:
    from srdp.domain.runs.execution_block import IngestedSdm
    from srdp.settings import Settings

_RECENT_DAYS = 30
# Nobody else can put a weblog there.
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")

# What is checked, how, and what to look at if no answer comes.
_Look = tuple[str, Callable[[], str], str]


def check_everything(
    *, with_pool: bool, report: Callable[[str], None] = lambda _line: None, seconds: float = LIMIT_SECONDS
) -> Iterator[Finding]:
    """Check everything at once, and yield each finding when its answer is there.

    Args:
        with_pool: also look at the pools in Airflow's own database, which a task may not read.
        report: receives lines that say what is waited for.
        seconds: how long each system has for its answer.
    """
    try:
        settings = load_settings()
    except SettingsError as problem:
        yield Finding("settings", is_right=False, sentence=str(problem))
        return
    yield Finding("settings", is_right=True, sentence="every variable is set and valid.")
    looks = [*_of_the_site(settings, seconds), *_of_servers(settings, with_pool=with_pool)]
    yield from findings([Check(name, look, on_silence, seconds) for name, look, on_silence in looks], report)


def _of_the_site(settings: Settings, seconds: float) -> Iterator[_Look]:
    yield "project", partial(check_home, settings), "see the file system of SRDP_HOME"
    yield "Airflow", partial(check_airflow_options, settings), "see the file system of SRDP_HOME"
    yield "retention file", partial(check_retention, settings), "see the file system of SRDP_RETENTION_FILE"
    yield "areas", partial(check_places, settings), "see the file systems of the areas on this host"
    for variable, area in settings.named_areas().items():
        see = f"see the file system of {area} ({variable}) on this host"
        yield f"area {variable}", partial(check_area, settings, variable), see
    yield "weblogs", partial(check_weblogs, settings), "see the settings"
    yield "deadline", partial(check_deadline, settings), "see the settings"
    yield "moves", partial(check_moves, settings), "see the file systems of the areas on this host"
    for release in dict.fromkeys((settings.casa_release, *settings.casa_installations)):
        see = "see the file system that holds CASA and the pipeline"
        # Ended before it counts as silent: what hangs is not left running.
        yield f"CASA {release}", partial(check_casa, settings, release, seconds=0.9 * seconds), see
    for name in settings.allowed_engines:
        yield f"engine {name}", partial(check_engine, name), "see whether the batch system's controller is up"


def _of_servers(settings: Settings, *, with_pool: bool) -> Iterator[_Look]:
    def check(name: str, look: Callable[[Settings], str], connection: str) -> _Look:
        see = f"see whether it is up, and whether this host reaches the address in the Airflow Connection {connection}"
        return name, partial(look, settings), see

    yield check("ledger", check_ledger, settings.ledger_connection)
    yield check("archive", check_archive, settings.archive_connection)
    yield check("reindex", check_reindex, settings.archive_connection)
    yield check("locator", check_locator, settings.locator_connection)
    yield check("ngas", check_ngas, settings.ngas_connection)
    yield check("ngas hosts", check_ngas_hosts, settings.locator_connection)
    yield check("mail", check_mail_server, settings.smtp_connection)
    if with_pool:
        yield "pools", partial(check_pools, settings), "see whether Airflow's own database is up"


def check_engine(name: str) -> str:
    """Ask an engine whether it can be given jobs.

    Args:
        name: the engine.

    Raises:
        ServiceUnavailable: it does not answer, or has not what the settings name.
    """
    return engine(name).check()


def check_home(settings: Settings) -> str:
    """Look for the SQL statements, templates and what CASA runs.

    Raises:
        SettingsError: the project's folder is not complete.
    """
    for folder in (settings.sql, settings.templates, settings.casa_programs):
        if not folder.is_dir():
            raise SettingsError(f"{folder} is missing: set SRDP_HOME to the project's own folder, complete.")
    return f"{settings.home} is complete."


def check_retention(settings: Settings) -> str:
    """Read the file that says what is kept for how long.

    Raises:
        SettingsError: it is not there, or says something that cannot be meant.
    """
    retention = read_retention(settings.retention, {}, retention_kinds())
    if retention.problems:
        raise SettingsError(" ".join(retention.problems))
    return f"{settings.retention} can be read."


def check_deadline(settings: Settings) -> str:
    """Say when a CASA job is cancelled, and ask for a deadline where none is set."""
    hours = f"a CASA job is cancelled after {settings.casa_deadline_hours:g} hours"
    if "casa_deadline_hours" in settings.model_fields_set:
        return f"{hours}."
    return f"{hours}, which is the default: set SRDP_CASA_DEADLINE_HOURS to more than your longest takes."


def check_weblogs(settings: Settings) -> str:
    """Compare the hosts at which people see Airflow and what a run has left; cookies know no ports.

    Raises:
        SettingsError: what is in a run's directory is shown at Airflow's own host.
    """
    airflow = urlsplit(settings.airflow_url).hostname
    for variable, address in (("SRDP_RUN_FILES_URL", settings.run_files_url), ("SRDP_WEBLOG_URL", settings.weblog_url)):
        host = urlsplit(address).hostname
        if host == airflow and host not in _THIS_MACHINE:
            raise SettingsError(
                f"{variable} is at {host}, as Airflow is: a script in a weblog could act in Airflow as the person who "
                "looks at it. Show run directories at a host of their own."
            )
    return "Run directories are shown at another host than Airflow, or on this machine only."


def check_ledger(settings: Settings) -> str:
    """Compare the version of the ledger's tables with the present one, and its clock with this host's.

    Raises:
        SrdpError: it cannot be reached, has another version, or its clock is not that of this host.
    """
    with transaction(settings.ledger_connection, what="The ledger") as cursor:
        (row,) = rows(cursor, settings.sql / "ledger", "ledger_version")
    wanted = len(migrations(settings.sql))
    if row["version"] != wanted:
        raise SettingsError(
            f"The ledger's tables have version {row['version']} and must have {wanted}: run "
            "`python -m srdp.hooks.ledger_schema`."
        )
    difference = _difference_of_clocks(settings)
    through = pooler(settings, settings.ledger_connection, what="The ledger")
    return f"its tables have version {wanted}, its clock and this host's differ by {difference:.0f} s{through}."


def _difference_of_clocks(settings: Settings) -> float:
    before = datetime.now(UTC)
    with transaction(settings.ledger_connection, what="The ledger") as cursor:
        (row,) = rows(cursor, settings.sql / "ledger", "clock")
    largest = timedelta(minutes=settings.largest_clock_difference_minutes)
    return check_clocks(row["now"], before, datetime.now(UTC), largest).total_seconds()


def check_archive(settings: Settings) -> str:
    """Ask the archive what was ingested in this moment, and whether it could execute every statement.

    Raises:
        SrdpError: it cannot be reached, or its tables are not as the statements expect them, or may not be used.
    """
    archive = ArchiveHook(settings)
    archive.ingested_since(archive.now())
    archive.check_statements()
    through = pooler(settings, settings.archive_connection, what="The archive's database")
    return f"it has what every statement needs{through}."


def check_reindex(settings: Settings) -> str:
    """Look whether the settings say how a project is indexed again; ask for none.

    Raises:
        SettingsError: they name no address to ask at.
    """
    return ReindexHook(settings).check()


def check_locator(settings: Settings) -> str:
    """Ask the locator service for something that does not exist, and expect an answer that says so.

    Raises:
        SrdpError: it cannot be reached, or its address is wrong.
    """
    nothing = Locator(f"uid://evla/execblock/{uuid.UUID(int=0)}")
    with contextlib.suppress(InvalidInput):
        LocatorHook(settings.locator_connection, attempts=1).report(nothing)
    return "it answers."


def check_ngas(settings: Settings) -> str:
    """Try every right and every mime type on the receiving NGAS server, with files of a few bytes.

    Raises:
        SettingsError: it cannot be reached, is offline, or does not do what an ingest and a cleanup need.
    """
    hook = NgasHook(settings.ngas_connection)
    if settings.ngas_ingest:
        mime_types = (settings.tar_mime_type, settings.fits_mime_type, settings.weblog_mime_type)
        probe = probe_ngas(hook, mime_types)
        is_right, sentence = probe.is_right, str(probe)
    else:
        is_right, sentence = hook.test_connection()
        sentence += " Nothing is archived there (SRDP_NGAS_INGEST)."
    if not is_right:
        raise SettingsError(sentence)
    return sentence


def check_ngas_hosts(settings: Settings) -> str:
    """Ask where the newest observation is, and look whether the NGAS login may be sent there; fetch nothing.

    Raises:
        SettingsError: it is on a host that may not have the login.
        SrdpError: the archive or the locator service cannot be asked.
    """
    archive = ArchiveHook(settings)
    newest = _newest(archive.ingested_since(archive.now() - timedelta(days=_RECENT_DAYS)).sdms)
    if newest is None:
        return f"nothing was observed in {_RECENT_DAYS} days, so it is not known on which hosts raw data are."
    try:
        servers = LocatorHook(settings.locator_connection, attempts=1).report(newest).servers
    except InvalidInput as error:
        return f"it is not known on which hosts raw data are: {error}"
    NgasHook(settings.ngas_connection).check_allowed(servers, named_by=lambda _name: f"the locator report of {newest}")
    return f"{newest} is on {', '.join(sorted(servers))}, where the login may be sent."


def _newest(ingested: Sequence[IngestedSdm]) -> Locator | None:
    for sdm in reversed(ingested):
        with contextlib.suppress(InvalidInput):
            execution_block_name(sdm.name)
            return locator(sdm.locator)
    return None


def check_mail_server(settings: Settings) -> str:
    """Open a session with the mail server, login and encryption included, and send nothing.

    Raises:
        SettingsError: it does not answer, or refuses the login.
    """
    try:
        with MailServerHook(smtp_conn_id=settings.smtp_connection):
            return "it answers."
    except Exception as error:  # noqa: BLE001  the provider raises what smtplib, ssl and Airflow raise
        raise SettingsError(
            f"The mail server of the Airflow Connection {settings.smtp_connection} does not serve: {error}"
        ) from None


def check_pools(settings: Settings) -> str:
    """Look at the pools that limit what runs at once.

    Args:
        settings: how many calibrations are started by themselves at once.

    Raises:
        SettingsError: one is missing, or does not count deferred tasks and must.
    """
    from airflow.models.pool import Pool  # only where Airflow's own database may be read

    slots, advice = [], ""
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
        if name == "casa" and pool.slots > settings.watch_runs_at_once:
            advice = (
                f" Calibrations that start by themselves fill only {settings.watch_runs_at_once} of the slots of casa: "
                f"set SRDP_WATCH_RUNS_AT_ONCE to more than {pool.slots}, so that some fetch meanwhile."
            )
    return f"{', '.join(slots)}.{advice}"
