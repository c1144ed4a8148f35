"""What a batch system reports several jobs of one name."""

from __future__ import annotations

from itertools import permutations

import pytest

from srdp.engines.base import QueuedJob, QueueState, by_name


def job(native_id: str, state: QueueState, name: str = "one") -> QueuedJob:
    return QueuedJob(name, native_id, state)


@pytest.mark.parametrize("reported", [*permutations(QueueState, 2)])
def test_the_furthest_job_of_a_name_is_reported_whatever_their_order(reported: tuple[QueueState, QueueState]) -> None:
    order = [QueueState.RUNNING, QueueState.WAITING, QueueState.HELD, QueueState.ENDED]
    found = by_name([job("1", reported[0]), job("2", reported[1]), job("3", QueueState.WAITING, "another")])
    assert found["one"].state is min(reported, key=order.index)
    assert found["another"].native_id == "3"


def test_of_jobs_of_a_name_that_have_all_ended_the_last_is_reported() -> None:
    assert by_name([job("1", QueueState.ENDED), job("2", QueueState.ENDED)])["one"].native_id == "2"
