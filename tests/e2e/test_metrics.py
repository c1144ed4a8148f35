"""The metrics that a calibration sends from Airflow's own processes, received as StatsD's server does."""

from __future__ import annotations

import re
import time

import pytest
from tests.e2e.site import Site
from tests.e2e.site_tools import until
from tests.programs.casa_contract import ContractCasa
from tests.statsd import StatsdReceiver

from sandbox.stack import Instance
from srdp.domain.runs.states import RunState
from srdp.hooks.metrics import DAMAGED, FAILURES, METRICS, Metric

pytestmark = pytest.mark.airflow

# Those of the verdict's steps are received in tests/srdp/operators/test_metrics.py.
ELSEWHERE = {DAMAGED, FAILURES}


def pattern(metric: Metric) -> re.Pattern[str]:
    """Every name that a metric can have."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[A-Za-z0-9_-]+", re.escape(metric.name)))


def test_a_calibration_sends_every_metric_and_no_other(
    quiet_site: Site, stack: Instance, casa: ContractCasa, statsd: StatsdReceiver
) -> None:
    run = quiet_site.start("metrics")
    run.until_state(RunState.AWAITING_QA)
    (fetched,) = run.events("fetched")
    size = fetched["details"]["bytes"]
    until("the bytes that were fetched", lambda: size in statsd.values("srdp.ngas.bytes.fetched"))
    assert 0 < statsd.values("srdp.ngas.transfer.fetched")[-1] < 600_000
    assert 0 < statsd.values("srdp.casa.vla")[-1] < 600_000
    until("a run that waits for its verdict", lambda: max(statsd.values("srdp.runs.vla.awaiting_qa"), default=0) > 0)
    until("when it was sent", lambda: statsd.values("srdp.reported_timestamp_seconds"))
    assert abs(statsd.values("srdp.reported_timestamp_seconds")[-1] - time.time()) < 600
    assert statsd.values("srdp.area.free_bytes.qa")[-1] > 0

    names = {name for name, _value, _kind in statsd.received()}
    kinds = {"g": "gauge", "c": "counter", "ms": "timer"}
    for metric in METRICS:
        sent = {kinds[kind] for name, _value, kind in statsd.received() if pattern(metric).fullmatch(name)}
        assert sent == {metric.kind} or (metric in ELSEWHERE and sent <= {metric.kind}), metric.name
    assert {name for name in names if not any(pattern(metric).fullmatch(name) for metric in METRICS)} == set()
