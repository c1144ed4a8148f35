"""Which CASA runs, on what, and how it is followed."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from srdp.domain.common.errors import InvalidInput, SettingsError, quoted
from srdp.domain.runs.ledger_records import DEFAULT_CASA_RELEASE
from srdp.domain.site.engine_names import EngineName
from srdp.domain.site.engine_options import Account, BatchOptions, EngineOptions, HTCondorOptions, SlurmOptions
from srdp.settings.values import AbsolutePath, Release, SettingsGroup, each_once, split_commas

_LOCAL_POLL_SECONDS = 15.0


class CasaInstallation(BaseModel):
    """A CASA that runs can be given, with its pipeline.

    Attributes:
        casa: the ``casa`` executable.
        scipipe_heuristics: the pipeline's folder; CASA sees it as ``SCIPIPE_HEURISTICS``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    casa: AbsolutePath
    scipipe_heuristics: AbsolutePath


class CasaSettings(SettingsGroup):
    """Which CASA runs, on what, and how it is followed."""

    TITLE: ClassVar[str] = "CASA and engines"

    casa: AbsolutePath = Field(description="The `casa` executable.")
    scipipe_heuristics: AbsolutePath = Field(
        description="The pipeline's folder, which holds `pipeline/runvlapipeline.py`; CASA sees it as "
        "`SCIPIPE_HEURISTICS`."
    )
    casa_arguments: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)] = Field(
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
    engines: Annotated[tuple[EngineName, ...], NoDecode, BeforeValidator(split_commas), AfterValidator(each_once)] = (
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

    @property
    def allowed_engines(self) -> tuple[EngineName, ...]:
        """The engines that runs may be given, the site's own first."""
        return each_once((self.engine, *self.engines))

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
