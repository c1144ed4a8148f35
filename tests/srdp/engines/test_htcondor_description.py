"""What HTCondor gets for a job, without a pool."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from srdp.domain.site.engine_options import HTCondorOptions
from srdp.engines import Job
from srdp.engines.batch_system import SubmissionRefused
from srdp.engines.htcondor import HTCondor

LOG = Path("/spool/run/casa1/wrapper.log")


def described(*, log: Path = LOG, **options: object) -> dict[str, str]:
    job = Job(
        name="casa1", command=("/casa",), working_directory=Path("/run"), environment={}, spool=Path("/spool/run"),
        cores=4, memory_gb=16,
    )  # fmt: skip
    system = HTCondor(HTCondorOptions.model_validate(options))
    return system._description(job, ["/usr/bin/python3", "-c", "print('it\"s')", "$HOME"], log)


def test_what_a_job_is_given_reaches_htcondor():
    reported = described(
        wall_time_hours=1.5, scratch_gb=2, mpi_processes=8, accounting_group="srdp.vla", lease_minutes=3
    )
    assert (reported["request_cpus"], reported["request_memory"], reported["request_disk"]) == ("8", "16384", "2097152")
    assert (reported["accounting_group"], reported["job_lease_duration"]) == ("srdp.vla", "180")
    assert "JobCurrentStartDate > 5400 " in reported["periodic_remove"]
    assert reported["My.SRDPJob"] == '"casa1"'


def test_nothing_in_an_argument_is_htcondors_to_read():
    assert described()["arguments"] == "\"'-c' 'print(''it\"\"s'')' '$(DOLLAR)HOME'\""


@pytest.mark.parametrize("name", ["two\nlines", "a$$(Memory)"])
def test_a_path_that_htcondor_would_read_otherwise_is_refused(name):
    with pytest.raises(SubmissionRefused, match="does not take"):
        described(log=Path("/spool") / name / "wrapper.log")


def test_further_lines_are_added():
    assert described(options=["concurrency_limits = srdp"])["concurrency_limits"] == "srdp"


@pytest.mark.parametrize(
    "line",
    [
        "queue 5", "queue = 5", "executable = /bin/sh", "Executable=/bin/sh", "log = /tmp/x", '+SRDPJob = "another"',
        'My.SRDPJob = "another"', "periodic_remove = False", "include : /etc/passwd", "a = 1\nqueue 5", "", "= 1",
        "universe = docker", "getenv = True", "noop_job = true", "+IsNoopJob = True", '+Owner = "x"', "+JobStatus = 5",
        "remote_initialdir = /tmp", "deferral_time = 99", "cron_hour = 3",
    ],
)  # fmt: skip
def test_a_line_that_would_make_a_job_another_one_is_refused(line):
    with pytest.raises(ValidationError, match=r"set by the engine itself|no line of a submit description"):
        HTCondorOptions.model_validate({"options": [line]})
