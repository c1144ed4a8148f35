"""What is measured, in one table, and sent by Airflow's own ``Stats``, by StatsD or OpenTelemetry as Airflow is set up.

A metric is sent where it happens, or with the others once a minute by the watcher of the outboxes
(:mod:`srdp.notifications.gauges`). Sending fails nothing: it is a packet that nobody acknowledges, and nothing at all
where no metrics are configured. Labels are part of a metric's name, because plain StatsD has none;
``docs/monitoring/statsd_exporter.yml``, made from this table, turns them into labels again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Final, Literal

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

from srdp.domain.runs.identifiers import PipelineRunId
from srdp.families import family_of_run


@dataclass(frozen=True)
class Metric:
    """One line of the table.

    Attributes:
        name: what it is called, with its labels in braces, after Airflow's own prefix.
        kind: ``gauge``: how much there is now; ``counter``: how much more; ``timer``: how long something took.
        prometheus: its name in Prometheus.
        meaning: what it says, for ``docs/metrics.md``.
    """

    name: str
    kind: Literal["gauge", "counter", "timer"]
    prometheus: str
    meaning: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels, in their order."""
        return tuple(re.findall(r"\{(\w+)\}", self.name))


RUNS: Final = Metric(
    "srdp.runs.{family}.{state}", "gauge", "srdp_runs",
    "Pipeline runs in a state; those that are `cleaned` are not counted.",
)  # fmt: skip
OLDEST_RUN: Final = Metric(
    "srdp.runs_oldest_seconds.{family}.{state}", "gauge", "srdp_runs_oldest_seconds",
    "For how long the run has been in its state that has been for longest; 0 if none is.",
)  # fmt: skip
MAILS: Final = Metric("srdp.outbox.mails", "gauge", "srdp_outbox_mails", "Mails that wait to be sent.")
OLDEST_MAIL: Final = Metric(
    "srdp.outbox.oldest_seconds", "gauge", "srdp_outbox_oldest_seconds", "For how long the oldest of them has waited."
)
REINDEX: Final = Metric(
    "srdp.outbox.reindex_requests", "gauge", "srdp_outbox_reindex_requests",
    "Projects that the archive is still to index again.",
)  # fmt: skip
FREE: Final = Metric(
    "srdp.area.free_bytes.{area}", "gauge", "srdp_area_free_bytes",
    "What the service may still write in an area; an area that does not answer is left out.",
)  # fmt: skip
SIZE: Final = Metric("srdp.area.size_bytes.{area}", "gauge", "srdp_area_size_bytes", "How large its file system is.")
REPORTED: Final = Metric(
    "srdp.reported_timestamp_seconds", "gauge", "srdp_reported_timestamp_seconds",
    "When these gauges were sent last, in seconds since 1970: StatsD's servers keep the last value forever.",
)  # fmt: skip
NGAS_BYTES: Final = Metric(
    "srdp.ngas.bytes.{direction}", "counter", "srdp_ngas_bytes_total",
    "Bytes of files that were `fetched` from NGAS, or `archived` in it, when all of a run, or one file, is proved.",
)  # fmt: skip
NGAS_TIME: Final = Metric(
    "srdp.ngas.transfer.{direction}", "timer", "srdp_ngas_transfer_seconds",
    "How long that took, with its proof; the rate is the one divided by the other.",
)  # fmt: skip
CASA_TIME: Final = Metric(
    "srdp.casa.{family}", "timer", "srdp_casa_seconds", "How long a CASA job has run, from its start to its end."
)
FAILURES: Final = Metric(
    "srdp.failures.{family}.{stage}", "counter", "srdp_failures_total",
    "Runs that became `failed`, `cancelled` or `ingest_failed`, by the task at which they did; `unknown` where no task "
    "was left to report it.",
)  # fmt: skip
DAMAGED: Final = Metric(
    "srdp.damaged_copies.{found_by}", "counter", "srdp_damaged_copies_total",
    "Copies in NGAS that were found to be damaged, by what found them: `fetch`, `ingest` or `removal`.",
)  # fmt: skip

METRICS: Final = (
    RUNS, OLDEST_RUN, MAILS, OLDEST_MAIL, REINDEX, FREE, SIZE, REPORTED, NGAS_BYTES, NGAS_TIME, CASA_TIME, FAILURES,
    DAMAGED,
)  # fmt: skip


def send(metric: Metric, value: float, **labels: str) -> None:
    """Send a metric.

    Args:
        metric: a line of the table.
        value: what a gauge is now, by how much a counter has grown, or how long, in seconds, what a timer times took.
        **labels: its labels.
    """
    stats = _stats()
    name = metric.name.format_map({label: _in_a_name(text) for label, text in labels.items()})
    if metric.kind == "gauge":
        stats.gauge(name, value)
    elif metric.kind == "counter":
        stats.incr(name, int(value))
    else:
        stats.timing(name, 1000 * value)


def send_transfer(direction: Literal["fetched", "archived"], size_bytes: int, seconds: float) -> None:
    """Send that files were fetched from NGAS or archived in it.

    Args:
        direction: which of the two.
        size_bytes: how large they are together.
        seconds: how long it took, with the proof.
    """
    send(NGAS_BYTES, size_bytes, direction=direction)
    send(NGAS_TIME, seconds, direction=direction)


def send_failure(run_id: PipelineRunId, task_id: str | None) -> None:
    """Send that a run has failed.

    Args:
        run_id: the run.
        task_id: the task at which it did; None if none was left to report it.
    """
    send(FAILURES, 1, family=family_of_run(run_id).name, stage=task_id or "unknown")


@cache
def _stats() -> ModuleType:
    """Return Airflow's ``Stats``, which Airflow has set up in a worker, and nobody in the triggerer's process."""
    legacy = conf.getboolean("metrics", "legacy_names_on", fallback=True)
    stats.initialize(factory=get_stats_factory(), export_legacy_names=legacy)
    return stats


def are_sent() -> bool:
    """Return whether Airflow is configured to send metrics to anybody."""
    options = ("statsd_on", "statsd_datadog_enabled", "otel_on")
    return any(conf.getboolean("metrics", option, fallback=False) for option in options)


def _in_a_name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)[:64]
