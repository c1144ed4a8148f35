from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta

import pytest

from srdp.domain.common.errors import IntegrityError, Refused, ServiceUnavailable, SettingsError
from srdp.domain.files.storage import DiskFull, StorageUnavailable
from srdp.domain.raw_data.fetch_control import FetchStopped
from srdp.domain.runs.retry import POLICIES, RequestRetryPolicy, Wait, explained_error

NOW = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_pauses_grow_to_a_bound(policy) -> None:
    pauses = [policy.pause(failures) for failures in range(1, 400)]
    assert pauses[0] == policy.first_pause
    assert pauses == sorted(pauses)
    assert pauses[-1] == policy.longest_pause <= timedelta(minutes=10)


def test_every_policy_that_differs_says_why() -> None:
    assert all(policy.why.endswith(".") for policy in POLICIES.values())
    rule, ingest = POLICIES["step"], POLICIES["ingest"]
    assert (ingest.total_time, ingest.longest_pause) == (rule.total_time, rule.longest_pause), (
        "an ingest waits as a fetch"
    )


@pytest.mark.parametrize("error", [ServiceUnavailable("away"), FetchStopped(), DiskFull("full")])
def test_what_heals_is_waited_for_by_every_step(error) -> None:
    assert all(policy.heals(error) for policy in POLICIES.values())


@pytest.mark.parametrize("error", [Refused("no"), IntegrityError("damaged"), SettingsError("wrong")])
def test_what_does_not_heal_is_not(error) -> None:
    waiting = {name for name, policy in POLICIES.items() if policy.heals(error)}
    assert waiting == ({"continuous"} if isinstance(error, SettingsError) else set())


def test_bare_system_errors_use_the_same_table() -> None:
    assert isinstance(explained_error(OSError(errno.ESTALE, "Stale file handle")), StorageUnavailable)
    assert explained_error(KeyError("ours")) is None


def test_what_is_remembered_between_tries_survives_json() -> None:
    wait = Wait(begun=3, unexplained=1).failed(NOW).failed(NOW + timedelta(hours=1))
    assert wait == Wait(since=NOW, failures=2)
    assert Wait.from_json(wait.as_json()) == wait
    assert Wait.from_json(None) == Wait.from_json({"of": "another release"}) == Wait()


def test_a_call_is_repeated_as_often_as_patience_lasts() -> None:
    calls, reported, slept = [], [], []

    def away() -> None:
        calls.append(1)
        raise ServiceUnavailable("away")

    with pytest.raises(ServiceUnavailable):
        RequestRetryPolicy(attempts=3, first_wait_seconds=1, longest_wait_seconds=2).retrying(
            reported.append, slept.append
        )(away)
    assert (len(calls), len(reported), len(slept)) == (3, 2, 2)
