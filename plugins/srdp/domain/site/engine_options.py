"""What is set for each engine: how much a job is given, and the options for a batch system."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"must be an absolute path, not {str(path)!r}")
    return path


def _not_root(account: str) -> str:
    if account == "root":
        raise ValueError("must not be root")
    return account


_NAME = r"^[A-Za-z0-9][A-Za-z0-9._,-]{0,127}$"
_OPTION = re.compile(r"--([a-z][a-z0-9-]*)(=[ -~]{1,500})?", re.ASCII)

_LINE = re.compile(r"([+]?[A-Za-z][A-Za-z0-9_.]{0,63}) *= *([!-~][ -~]{0,999})", re.ASCII)

Name = Annotated[str, Field(pattern=_NAME)]
Account = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$"), AfterValidator(_not_root)]


class EngineOptions(BaseModel):
    """What every engine has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: int | None = Field(
        default=None, ge=1, le=1024, description="Cores of a job when the form says nothing. Not set: the site's."
    )
    memory_gb: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Memory of a job, in GB, when the form says nothing. Not set: the site's.",
    )
    mpi_processes: int = Field(
        default=1, ge=1, le=1024,
        description="With more than one, CASA is started as `mpicasa -n` of so many, by the `mpicasa` beside `casa`.",
    )  # fmt: skip


class BatchOptions(EngineOptions):
    """What every batch system has."""

    wall_time_hours: float = Field(
        default=168.0, gt=0, le=8760, description="A job that takes longer is ended by the batch system."
    )
    queue_hours: float = Field(
        default=720.0, gt=0, le=8760, description="A job that has not started after so long in the queue is cancelled."
    )
    scratch_gb: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Local disk, in GB, that a job's node must have."
    )
    python: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        default=None,
        description="A Python from 3.11 on that the nodes have. Not set: that of Airflow, at the same path there.",
    )
    run_as: Account | None = Field(
        default=None,
        description="The account that CASA runs under, by `sudo -n -u` on the node; the job itself is the service's. "
        "Not set: `SRDP_CASA_ACCOUNT`.",
    )
    grace_seconds: float = Field(
        default=60.0, ge=1, le=3600,
        description="How long records of a job that left the queue, or the queue's entry of one that was "
        "just submitted, may be late.",
    )  # fmt: skip
    answer_timeout_seconds: float = Field(
        default=40.0, ge=1, le=600, description="How long the batch system may take for an answer."
    )


def _slurm_options(options: tuple[str, ...]) -> tuple[str, ...]:
    for option in options:
        found = _OPTION.fullmatch(option)
        if not found:
            raise ValueError(f"{option!r} is no option of sbatch: write --name or --name=value")
        # sbatch takes the beginning of an option for the option.
        if any(own.startswith(found[1]) for own in SlurmOptions.own):
            raise ValueError(f"--{found[1]} is set by the engine itself, or by a setting of its own")
    return options


class SlurmOptions(BatchOptions):
    """Options for Slurm."""

    #: The options of sbatch that are not free: they are set from elsewhere, or would make a job another one.
    own: ClassVar[frozenset[str]] = frozenset(
        {
            "account", "array", "begin", "chdir", "cluster-constraint", "clusters", "cpus-per-task", "dependency",
            "error", "export", "export-file", "get-user-env", "gid", "help", "het-group", "input", "job-name", "mem",
            "mem-per-cpu", "mem-per-gpu", "no-requeue", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output",
            "parsable", "partition", "quiet", "requeue", "signal", "test-only", "time", "time-min", "tmp", "uid",
            "usage", "version", "wait", "wrap",
        }
    )  # fmt: skip

    partition: Name | None = Field(default=None, description="The partition. Not set: Slurm's default.")
    account: Name | None = Field(default=None, description="The account that is charged. Not set: the user's default.")
    options: Annotated[tuple[str, ...], AfterValidator(_slurm_options)] = Field(
        default=(), description='Further options of `sbatch`, as a JSON list: `["--qos=srdp", "--nice=100"]`.'
    )
    ssh_connection: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] | None = Field(
        default=None,
        description="The Airflow Connection of a host that has Slurm's commands, reached by SSH as the service's own "
        "account. Not set: this machine has them.",
    )


def _submit_lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    for line in lines:
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError(f"{line!r} is no line of a submit description: write name = value")
        name = found[1].lower().removeprefix("my.").removeprefix("+")
        if name in HTCondorOptions.own:
            raise ValueError(f"{found[1]} is set by the engine itself, or by a setting of its own")
    return lines


class HTCondorOptions(BatchOptions):
    """Options for HTCondor."""

    #: The commands of a submit description, and attributes, that are not free, in lower case: they are set from
    #: elsewhere, would make a job another one, or are no commands but words of the language.
    own: ClassVar[frozenset[str]] = frozenset(
        {
            "accounting_group", "args", "arguments", "cmd", "cron_day_of_month", "cron_day_of_week", "cron_hour",
            "cron_minute", "cron_month", "deferral_time", "deferraltime", "elif", "else", "endif", "env", "environment",
            "err", "error", "executable", "getenv", "hold", "if", "in", "include", "initialdir", "input", "isnoopjob",
            "iwd", "job_lease_duration", "job_max_vacate_time", "jobbatchname", "jobleaseduration", "jobstatus",
            "jobuniverse", "log", "max_retries", "noop_job", "notification", "on_exit_hold", "on_exit_remove", "out",
            "output", "owner", "periodic_hold", "periodic_release", "periodic_remove", "periodicremove",
            "periodicremovereason", "queue", "remote_initialdir", "request_cpus", "request_disk", "request_memory",
            "requestcpus", "requestdisk", "requestmemory", "retry_until", "should_transfer_files", "srdpjob", "stderr",
            "stdin", "stdout", "success_exit_code", "transfer_executable", "transfer_input_files",
            "transfer_output_files", "universe", "use", "userlog", "want_graceful_removal", "when_to_transfer_output",
        }
    )  # fmt: skip

    config: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        default=None,
        description="HTCondor's configuration file, with the pool's names and how to authenticate. Not set: where "
        "HTCondor looks by itself, such as `/etc/condor/condor_config`.",
    )
    collector: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_-]{0,253}$")] | None = Field(
        default=None, description="The pool's collector, as `host` or `host:port`. Not set: the configuration's."
    )
    schedd: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.@_-]{0,253}$")] | None = Field(
        default=None,
        description="The name of the schedd that jobs are given to. Not set: this machine's, or the only one of the "
        "pool.",
    )
    accounting_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] | None = Field(
        default=None, description="The accounting group that is charged. Not set: none."
    )
    lease_minutes: float = Field(
        default=10.0, ge=0.5, le=1440,
        description="How long a node may be out of reach before HTCondor gives up what runs there.",
    )  # fmt: skip
    options: Annotated[tuple[str, ...], AfterValidator(_submit_lines)] = Field(
        default=(),
        description='Further lines of the submit description, as a JSON list: `["concurrency_limits = srdp"]`.',
    )
