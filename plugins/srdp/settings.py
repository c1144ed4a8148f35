"""Every setting of the project, typed and validated in one place.

A setting is an environment variable with the prefix ``SRDP_`` (``SRDP_PROCESSING_AREA`` for
``processing_area``). Servers are Airflow Connections, whose names are settings too. Settings are read when a
task runs, never while a DAG file is parsed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from srdp.domain.archiving.image_products import DEFAULT_SCIENCE_PATTERNS
from srdp.domain.archiving.products import DEFAULT_ASSOCIATED_TAR_NAME, DEFAULT_TAR_NAME, check_tar_name_template
from srdp.domain.common.errors import InvalidInput, SettingsError, quoted
from srdp.domain.imaging.size import SizeLimits
from srdp.domain.retention.brake import Brake
from srdp.domain.runs.areas import (
    CACHE,
    CACHE_IN_PROCESSING,
    PROCESSING,
    SPOOL,
    fault_of_analysts_folder,
    faults_of_paths,
)
from srdp.domain.runs.families import ALMA, FAMILIES, Family
from srdp.domain.runs.ledger_records import DEFAULT_CASA_RELEASE
from srdp.domain.runs.pipeline_run import Areas
from srdp.domain.runs.retry import DEFAULT_HOURS
from srdp.domain.site.engine_names import EngineName
from srdp.domain.site.engine_options import Account, BatchOptions, EngineOptions, HTCondorOptions, SlurmOptions

_T = TypeVar("_T")
_LOCAL_POLL_SECONDS = 15.0


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"must be an absolute path, not {str(path)!r}")
    return path


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _each_once(values: tuple[_T, ...]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))


def _weblog_template(template: str) -> str:
    try:
        filled = {template.format(pipeline_run_id=name, weblog=name) for name in ("a", "b")}
    except (AttributeError, IndexError, KeyError, ValueError):
        filled = set()
    if len(filled) != 2:
        raise ValueError("must hold {pipeline_run_id} and may hold {weblog}, and nothing else in braces")
    return template


def _date_or_nothing(text: str) -> str:
    if text:
        date.fromisoformat(text)
    return text


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$", max_length=254)]
OptionalAddresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_split_commas), AfterValidator(_each_once)]
Addresses = Annotated[OptionalAddresses, Field(min_length=1)]
Domain = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$", max_length=253)]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
MimeType = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}/[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}$")]
Release = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
Status = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z ]{0,63}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$")]


class CasaInstallation(BaseModel):
    """A CASA that runs can be given, with its pipeline.

    Attributes:
        casa: the ``casa`` executable.
        scipipe_heuristics: the pipeline's folder; CASA sees it as ``SCIPIPE_HEURISTICS``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    casa: AbsolutePath
    scipipe_heuristics: AbsolutePath


class Settings(BaseSettings):
    """The settings; each attribute's description is its line in ``docs/settings.md``."""

    model_config = SettingsConfigDict(env_prefix="SRDP_", env_nested_delimiter="__", extra="ignore", frozen=True)

    home: AbsolutePath = Field(description="The project's own folder, which holds `include/`.")
    processing_area: AbsolutePath = Field(
        description="Where runs are fetched and calibrated. Mark each area once: `srdp.check --prepare-areas`."
    )
    qa_area: AbsolutePath = Field(description="Where finished runs wait for a data analyst's verdict.")
    spool_area: AbsolutePath = Field(description="Where jobs keep their records; on the same shared file system.")
    alma_processing_area: AbsolutePath | None = Field(
        default=None, description="Where ALMA runs are fetched and imaged. Not set: the processing area above."
    )
    alma_qa_area: AbsolutePath | None = Field(
        default=None, description="Where images wait for the verdict on them. Not set: the QA area above."
    )

    casa: AbsolutePath = Field(description="The `casa` executable.")
    scipipe_heuristics: AbsolutePath = Field(
        description="The pipeline's folder, which holds `pipeline/runvlapipeline.py`; CASA sees it as "
        "`SCIPIPE_HEURISTICS`."
    )
    casa_arguments: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)] = Field(
        default=("--nogui", "--nologger", "--agg"),
        description="What follows `casa` on its command line before `-c`, separated by commas.",
    )
    casa_deadline_hours: float = Field(default=168.0, gt=0, description="A CASA job is cancelled after this long.")
    casa_release: Release = Field(
        default=DEFAULT_CASA_RELEASE, description="What the CASA above is called in forms and in the ledger."
    )
    casa_installations: dict[Release, CasaInstallation] = Field(
        default={},
        description="Further CASA releases for reruns, as JSON: "
        '`{"6.6.1": {"casa": "/opt/casa-6.6.1/bin/casa", "scipipe_heuristics": "/opt/pipeline-2024"}}`.',
    )
    casa_account: Account | None = Field(
        default=None,
        description="The account that CASA runs under, through `sudo -n -u`; see "
        "[accounts-and-areas.md](operator/accounts-and-areas.md#accounts-of-the-machine). Not set: the account of "
        "Airflow's workers, whose environment a pipeline and what an analyst gave it can then read.",
    )
    analysts_group: Account | None = Field(
        default=None,
        description="The group of the data analysts, the account of Airflow's workers and `SRDP_CASA_ACCOUNT`: its "
        "members may write into `working/` and `products/` of each new run. Not set: as the workers' umask says.",
    )
    engine: EngineName = Field(
        default=EngineName.LOCAL,
        description="What runs CASA: `local`, `slurm` or `htcondor`, when the form says nothing.",
    )
    engines: Annotated[tuple[EngineName, ...], NoDecode, BeforeValidator(_split_commas), AfterValidator(_each_once)] = (
        Field(
            default=(),
            description="Which engines may be chosen in the forms, separated by commas; the one above always. An "
            "engine stays here for as long as runs have been started with it.",
        )
    )
    local: EngineOptions = Field(default=EngineOptions(), description="What jobs of the engine `local` are given:")
    slurm: SlurmOptions = Field(default=SlurmOptions(), description="What jobs of the engine `slurm` are given:")
    htcondor: HTCondorOptions = Field(
        default=HTCondorOptions(), description="What jobs of the engine `htcondor` are given:"
    )
    poll_min_seconds: float = Field(
        default=2.0, gt=0, le=60, description="How often a CASA job is looked at when it is young."
    )
    poll_max_seconds: float = Field(
        default=60.0, gt=0, le=600,
        description="The longest interval at which a CASA job is looked at: it grows with the job's age, by one part "
        "in fifty. For a job of the engine `local` it is never longer than 15 s.",
    )  # fmt: skip
    default_cores: int = Field(default=8, ge=1, le=1024, description="Cores asked for when the form says nothing.")
    default_memory_gb: int = Field(default=248, ge=1, le=65536, description="Memory asked for, in GB, likewise.")

    processing_site: str = Field(
        default="Socorro", pattern=r"^[A-Za-z ]{1,40}$", description="`ProcessingSite` in a PPR that is written."
    )
    operator: str = Field(
        default="vlapipe", pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="`Operator` in a PPR that is written."
    )

    alma_processing_site: str = Field(
        default="Charlottesville", pattern=r"^[A-Za-z ]{1,40}$", description="Likewise `ProcessingSite` of ALMA."
    )
    alma_operator: str = Field(
        default="almapipe", pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="Likewise `Operator` of ALMA."
    )
    alma_max_cube_gb: float = Field(
        default=100.0, gt=0, description="The pipeline makes an ALMA cube that would be larger smaller, in GB."
    )
    alma_max_cube_limit_gb: float = Field(
        default=120.0, gt=0, description="A request for a cube that would be larger still, in GB, is refused."
    )
    alma_max_product_gb: float = Field(
        default=10_000.0, gt=0, description="Likewise one whose products would take more in all, in GB."
    )

    fetch_streams_per_server: int = Field(
        default=4, ge=1, le=10, description="Files fetched at once from one NGAS server; more than 10 are refused."
    )
    fetch_spare_gb: float = Field(
        default=1.0, ge=0, description="Space, in GB, that must stay free in the processing area after a fetch."
    )

    retry_hours: float = Field(
        default=DEFAULT_HOURS,
        gt=0,
        le=168,
        description="How long a step waits for a server or a file system that is away, busy, full or not writable, "
        "before it fails. It tries again at least every ten minutes.",
    )

    watch_poll_seconds: float = Field(
        default=10.0, ge=1, le=25, description="How often the archive is asked for new execution blocks."
    )
    watch_overlap_minutes: float = Field(
        default=60.0,
        ge=0,
        le=1440,
        description="How far before the watermark the archive is asked again, for rows that were committed late.",
    )
    watch_backlog_from: Annotated[str, AfterValidator(_date_or_nothing)] = Field(
        default="",
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="Calibrate what was ingested from this date on (UTC, `YYYY-MM-DD`) although it was there before "
        "the first start. Empty: nothing.",
    )
    watch_backlog_per_day: int = Field(
        default=10, ge=0, le=10000, description="How many execution blocks of the backlog are started in 24 hours."
    )
    watch_runs_at_once: int = Field(
        default=3,
        ge=1,
        le=10000,
        description="No calibration is started by itself while so many are under way, from their start to their "
        "delivery or failure, no matter who started them; the others wait for a place, the oldest first. At least as "
        "many as the pool `casa` has slots, and some that fetch meanwhile. What somebody starts by hand does not wait.",
    )

    analyst_files: Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_split_commas)] = Field(
        default=(),
        description="Folders, separated by commas, from which a data analyst may give files by path, besides the "
        "processing and the QA area. None may hold an area, the project or Airflow's own folder, or be one of the "
        "system's, such as `/etc`.",
    )
    ngas_ingest: bool = Field(
        default=True,
        description="Whether a pass puts files into NGAS. Without, no execution block becomes `Calibrated` and no run "
        "can be cleaned up.",
    )
    calibration_tar_name: Annotated[str, AfterValidator(check_tar_name_template)] = Field(
        default=DEFAULT_TAR_NAME, description="What people see a calibration's tar called in the archive."
    )
    alma_associated_tar_name: Annotated[str, AfterValidator(check_tar_name_template)] = Field(
        default=DEFAULT_ASSOCIATED_TAR_NAME,
        description="Likewise the tar of what was made beside ALMA's images and is no FITS file.",
    )
    alma_science_patterns: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^\s/]{1,200}$")], ...],
        NoDecode,
        BeforeValidator(_split_commas),
        Field(min_length=1),
    ] = Field(
        default=DEFAULT_SCIENCE_PATTERNS,
        description="Which of ALMA's FITS files are science products: shell patterns of their names, separated by "
        "commas. Every other one is an ancillary product.",
    )
    tar_mime_type: MimeType = Field(
        default="application/x-tar", description="The mime type that NGAS is configured for, for a tar."
    )
    fits_mime_type: MimeType = Field(default="image/x-fits", description="Likewise for a FITS file.")
    weblog_mime_type: MimeType = Field(
        default="application/x-gzip", description="The mime type that NGAS is configured for, for a weblog."
    )
    one_good_copy_is_enough: bool = Field(
        default=False,
        description="Whether an archived run may be removed although NGAS holds a damaged copy of one of its files, or "
        "one that cannot be read now, beside a good one. Off: such a run is kept until the operators of NGAS have "
        "repaired the copy.",
    )
    status_after_pass: Status = Field(
        default="Calibrated", description="The execution block's status after an ingest with the QA flag Pass."
    )
    status_after_fail: Status = Field(default="Calibrated", description="Likewise with the QA flag Fail.")
    status_after_null: Status = Field(default="Calibrated", description="Likewise with the QA flag Null.")
    record_srdp_state: bool = Field(
        default=True, description="Whether the SRDP verdict is written into the archive; the ledger always has it."
    )
    reindex: Literal["off", "http", "sql"] = Field(
        default="sql", description="How the archive is asked to index a project again after an ingest."
    )
    reindex_url: Annotated[str, Field(pattern=r"^(https?://[^\s\"'<>]+)?$")] = Field(
        default="", description='With `http`: where to POST `{"project": ...}`; `{project}` in it is filled in.'
    )
    cache_area: AbsolutePath | None = Field(
        default=None,
        description="Where calibrated measurement sets are kept for users, on the same file system as the areas. Not "
        "set: `calibrated_measurement_sets` in the processing area; it alone may be in another area.",
    )
    retention_file: AbsolutePath | None = Field(
        default=None,
        description="The text file that says what is kept for how long. Not set: `include/retention.txt`.",
    )
    expiry_most_runs: int = Field(
        default=100,
        ge=0,
        description="An expiry that would remove more runs and measurement sets at once removes nothing, and asks the "
        "operations managers.",
    )
    expiry_largest_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Likewise one that would remove a larger share of all that is there, if more than ten would go.",
    )
    expiry_youngest_days: float = Field(
        default=1.0,
        ge=0,
        description="Likewise one that would remove what came into its state, or into the cache, fewer days ago.",
    )
    own_dag_runs_days: int = Field(
        default=30,
        ge=1,
        description="For how many days Airflow keeps DAG runs of what works by itself (`watch_observations`, "
        "`send_mails_and_reconcile`, `expire_processing_area`, `check_settings`).",
    )
    dag_runs_days: int = Field(
        default=365,
        ge=30,
        description="Likewise those of all other DAGs of the workflows. One that is not at its end is never removed, "
        "nor is a younger one of its DAG.",
    )
    log_days: int = Field(
        default=90,
        ge=1,
        description="Likewise log files of tasks and of the DAG processor, since they were written.",
    )
    largest_clock_difference_minutes: float = Field(
        default=5.0,
        gt=0,
        description="If the ledger's clock and a host's differ by more, nothing is removed for its age.",
    )

    data_analysts: Addresses = Field(description="Who is notified about VLA runs; addresses separated by commas.")
    operations_managers: Addresses = Field(description="Who is notified about what needs an operator or an assignment.")
    alma_data_analysts: OptionalAddresses = Field(
        default=(), description="Who reviews ALMA images, and may be assigned to. Empty: the data analysts above."
    )
    assignment_reminder_hours: float = Field(
        default=48.0,
        ge=0.01,
        le=8760,
        description="After how long a run that awaits its assignment, or the verdict of who it is "
        "assigned to, is mailed about again, and again after as long.",
    )
    tell_who_asked: bool = Field(
        default=False,
        description="Whether the requester of images is notified by mail that they failed QA, with the reason; only if "
        "no other version of the request is left.",
    )
    mail_domains: Annotated[tuple[Domain, ...], NoDecode, BeforeValidator(_split_commas)] = Field(
        default=(),
        description="Domains, separated by commas and each with what is below it, to which mail may go beside the "
        "addresses of the settings: the requester of images is notified only there. Empty: none.",
    )
    mail_from: Address = Field(description="The do-not-reply address that mails come from.")

    airflow_url: Url = Field(description="Where people reach Airflow; links in mails begin with it.")
    airflow_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)] = Field(
        default=(),
        description="The names of hosts, separated by commas, under which the API server is reached, by people and by "
        "workers; it refuses a request that names another one (`plugins/srdp_hosts.py`). Empty: every one.",
    )
    run_files_url: Url = Field(
        description="Where people reach run directories; `<this>/<pipeline run ID>/` shows a run's directory, in "
        "whichever area it is."
    )
    weblog_url: Annotated[Url, AfterValidator(_weblog_template)] = Field(
        description="A weblog's address, with `{pipeline_run_id}` and `{weblog}` (the weblog's path in the run "
        "directory, `working/pipeline-<time>/html`) filled in."
    )

    ledger_connection: ConnectionId = Field(default="srdp_ledger", description="The ledger's PostgreSQL database.")
    archive_connection: ConnectionId = Field(default="srdp_archive", description="The archive's database.")
    ngas_connection: ConnectionId = Field(
        default="srdp_ngas",
        description="Login for NGAS servers, the server that receives what is archived, and in the extra "
        "`allowed_hosts` the other hosts that may have the login.",
    )
    locator_connection: ConnectionId = Field(default="srdp_locator", description="The locator service.")
    smtp_connection: ConnectionId = Field(default="srdp_smtp", description="The mail server.")
    airflow_connection: ConnectionId = Field(
        default="srdp_airflow",
        description="Airflow's API server, for `srdp-health` alone: its address and a login that may read DAGs and "
        "task instances.",
    )

    health_heartbeat_minutes: float = Field(
        default=5.0,
        gt=0,
        description="`srdp-health` is critical if a watcher has not asked the archive for new execution blocks for so "
        "long, or the ledger for mails that are due.",
    )
    health_dag_run_minutes: float = Field(
        default=20.0,
        gt=0,
        description="Likewise if `watch_observations` or `send_mails_and_reconcile` has not run for so long; both run "
        "every quarter of an hour at least.",
    )
    health_queued_minutes: float = Field(
        default=10.0,
        gt=0,
        description="Likewise if a task is ready for so long and nothing of its queue runs, or for so long no "
        "triggerer watches one that waits.",
    )
    health_outbox_minutes: float = Field(
        default=15.0, gt=0, description="It warns if a mail has waited for so long to be sent."
    )

    @model_validator(mode="after")
    def _areas_lie_apart(self) -> Self:
        faults = [*faults_of_paths(self.named_areas(), self.home), *self._faults_of_analysts_folders()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_analysts_folders(self) -> Iterator[str]:
        for folder in self.analyst_files:
            fault = fault_of_analysts_folder(folder, self._own_folders)
            if fault is not None:
                yield fault

    @property
    def _own_folders(self) -> dict[str, Path]:
        airflow = os.environ.get("AIRFLOW_HOME")
        return {**self.named_areas(), "SRDP_HOME": self.home} | ({"AIRFLOW_HOME": Path(airflow)} if airflow else {})

    def folders_of_submitted_files(self) -> tuple[Path, ...]:
        """Return the folders from which a data analyst may give files by path.

        Raises:
            SettingsError: one of them is a link to a folder that none may be.
        """
        own = {name: Path(os.path.realpath(place)) for name, place in self._own_folders.items()}
        for folder in self.analyst_files:
            fault = fault_of_analysts_folder(Path(os.path.realpath(folder)), own)
            if fault is not None:
                raise SettingsError(f"{fault}.")
        return (*self.areas.roots, *self.analyst_files)

    def named_areas(self, family: Family | None = None) -> dict[str, Path]:
        """Return the areas by the variables that name them.

        Args:
            family: whose areas; those of all families if none is given.
        """
        named = {SPOOL: self.spool_area}
        for each in FAMILIES if family is None else (family,):
            own = each is ALMA and self.alma_processing_area not in {None, self.processing_area}
            named["SRDP_ALMA_PROCESSING_AREA" if own else PROCESSING] = self.areas.of_family(each)[0]
            own = each is ALMA and self.alma_qa_area not in {None, self.qa_area}
            named["SRDP_ALMA_QA_AREA" if own else "SRDP_QA_AREA"] = self.areas.of_family(each)[1]
        if self.cache_area is not None and family is not ALMA:
            named[CACHE] = self.cache_area
        return named

    @property
    def areas(self) -> Areas:
        """The roots that run directories are in."""
        return Areas(
            processing=self.processing_area,
            qa=self.qa_area,
            spool=self.spool_area,
            alma_processing=self.alma_processing_area or self.processing_area,
            alma_qa=self.alma_qa_area or self.qa_area,
        )

    @property
    def expiry_brake(self) -> Brake:
        """How much an expiry removes without asking."""
        return Brake(
            most=self.expiry_most_runs,
            largest_share=self.expiry_largest_share,
            youngest=timedelta(days=self.expiry_youngest_days),
        )

    @property
    def imaging_analysts(self) -> tuple[str, ...]:
        """Who reviews ALMA images, and may be assigned to."""
        return self.alma_data_analysts or self.data_analysts

    def may_be_mailed(self, address: str) -> bool:
        """Return whether mail may go to an address: to those of the settings, and into the domains that they allow.

        Args:
            address: the address; it may come from a form.
        """
        those = {*self.data_analysts, *self.alma_data_analysts, *self.operations_managers}
        domain = f".{address.rpartition('@')[2]}".lower()
        return address in those or any(domain.endswith(f".{each}".lower()) for each in self.mail_domains)

    @property
    def image_size_limits(self) -> SizeLimits:
        """How large the images of an ALMA request may be."""
        return SizeLimits(
            cube=self.alma_max_cube_gb, cube_limit=self.alma_max_cube_limit_gb, products=self.alma_max_product_gb
        )

    @property
    def measurement_set_cache(self) -> Path:
        """Where calibrated measurement sets are kept for users."""
        return self.cache_area or self.processing_area / CACHE_IN_PROCESSING

    @property
    def retention(self) -> Path:
        """The text file that says what is kept for how long."""
        return self.retention_file or self.home / "include" / "retention.txt"

    @property
    def allowed_engines(self) -> tuple[EngineName, ...]:
        """The engines that runs may be given, the site's own first."""
        return _each_once((self.engine, *self.engines))

    def engine_options(self, engine: str) -> EngineOptions:
        """Return what is set for an engine.

        Args:
            engine: its name.
        """
        options: EngineOptions = getattr(self, EngineName(engine).value)
        return options

    def cores_of(self, engine: str) -> int:
        """Return how many cores a job of an engine is given when the form says nothing."""
        return self.engine_options(engine).cores or self.default_cores

    def poll_max_seconds_of(self, engine: str) -> float:
        """Return the longest interval, in seconds, at which a job of an engine is looked at.

        Args:
            engine: its name.
        """
        # A look at a local job asks nobody, and a lost one is to be reported within a minute in all.
        is_local = engine == EngineName.LOCAL
        return min(_LOCAL_POLL_SECONDS, self.poll_max_seconds) if is_local else self.poll_max_seconds

    def casa_account_of(self, engine: str) -> str | None:
        """Return the account that CASA runs under in a job of an engine; ``None`` for the engine's own.

        Args:
            engine: its name.
        """
        options = self.engine_options(engine)
        own = options.run_as if isinstance(options, BatchOptions) else None
        return own or self.casa_account

    def memory_gb_of(self, engine: str) -> int:
        """Return how much memory, in GB, a job of an engine is given when the form says nothing."""
        return self.engine_options(engine).memory_gb or self.default_memory_gb

    def chosen_engine(self, value: str | None) -> EngineName:
        """Return the engine that a field of a form names; the site's own if it says nothing.

        Args:
            value: the field.

        Raises:
            InvalidInput: it is none of those that may be chosen.
        """
        if value is None:
            return self.engine
        for each in self.allowed_engines:
            if each.value == value.strip():
                return each
        raise InvalidInput(
            f"{quoted(value)} is no engine of this site: choose {' or '.join(self.allowed_engines)}, or add it to "
            "SRDP_ENGINES."
        )

    def casa_installation(self, release: str) -> CasaInstallation:
        """Return the CASA of a release.

        ``default``, which runs have that were opened before ``casa_release`` was set, stays the settings' first CASA
        when that is given a name; unless the settings name another installation so.

        Raises:
            SettingsError: the settings name no such release.
        """
        first = CasaInstallation(casa=self.casa, scipipe_heuristics=self.scipipe_heuristics)
        installations = {DEFAULT_CASA_RELEASE: first, **self.casa_installations, self.casa_release: first}
        if release in installations:
            return installations[release]
        known = ", ".join(sorted({self.casa_release, *self.casa_installations}))
        raise SettingsError(
            f"There is no CASA release {quoted(release)} in the settings, only {known}: choose one of them, or add it "
            "to SRDP_CASA_INSTALLATIONS."
        )

    @property
    def sql(self) -> Path:
        """The folder of SQL statements and schemas."""
        return self.home / "include" / "sql"

    @property
    def casa_programs(self) -> Path:
        """The folder of what CASA's own Python runs."""
        return self.home / "include" / "casa"

    @property
    def templates(self) -> Path:
        """The folder of PPR and mail templates."""
        return self.home / "include" / "templates"


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
        raise SettingsError("Set these variables right and try again: " + "; ".join(problems) + ".") from None


def _where(loc: tuple[int | str, ...]) -> str:
    """Return the variable that a problem is about, as the beginning of a sentence; nothing if it is about several."""
    names = [str(part).upper() for part in loc if isinstance(part, str)]
    return f"SRDP_{'__'.join(names)}: " if names else ""
