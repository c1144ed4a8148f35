"""What becomes of a question to Slurm that cannot even be asked."""

from __future__ import annotations

import json

import pytest

from srdp.domain.site.engine_options import SlurmOptions
from srdp.engines.batch import BatchEngine
from srdp.engines.batch_system import NoAnswer
from srdp.engines.slurm import Slurm
from srdp.hooks.slurm_ssh import SshRunner


@pytest.mark.parametrize("host_key", ["ssh-ed25519 A", "ssh-nothing AAAA"])
def test_a_connection_whose_host_key_is_none_gives_no_answer(monkeypatch: pytest.MonkeyPatch, host_key: str) -> None:
    connection = {"conn_type": "ssh", "host": "127.0.0.1", "login": "root", "extra": {"host_key": host_key}}
    monkeypatch.setenv("AIRFLOW_CONN_SLURM", json.dumps(connection))
    with pytest.raises(NoAnswer, match="squeue could not be asked over the Airflow Connection slurm"):
        SshRunner("slurm")(["squeue"], "", 5.0)


def test_whatever_goes_wrong_with_the_question_for_all_jobs_is_a_fault_of_the_answer() -> None:
    def fail(*_: object) -> None:
        raise KeyError("jobs")

    queue = BatchEngine(Slurm(SlurmOptions(), fail)).queue()  # type: ignore[arg-type]
    assert queue.jobs is None
    assert queue.fault == "Slurm could not be asked: KeyError('jobs')."
