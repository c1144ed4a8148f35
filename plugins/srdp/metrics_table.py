"""The metrics as ``docs/metrics.md``, and what turns StatsD's names into Prometheus's.

``python -m srdp.metrics_table`` writes both; a test fails if one of them is stale.
"""

from __future__ import annotations

from pathlib import Path

from srdp.hooks.metrics import METRICS, Metric

_ROOT = Path(__file__).resolve().parents[2]
PAGE = _ROOT / "docs" / "metrics.md"
MAPPING = _ROOT / "docs" / "monitoring" / "statsd_exporter.yml"

_INTRODUCTION = """\
# Metrics

What the workflows measure, sent by Airflow's own `Stats`, by StatsD or OpenTelemetry as Airflow is configured; how to
receive them stands in [monitoring/README.md](monitoring/README.md). Each name begins with Airflow's own prefix,
`airflow.` This page and `monitoring/statsd_exporter.yml` are made from the code:
`PYTHONPATH=plugins .venv/bin/python -m srdp.metrics_table`.

| in StatsD and OpenTelemetry | in Prometheus | kind | what it says |
|---|---|---|---|
"""
_BEGINNING = """\
# For Prometheus's statsd_exporter: `statsd_exporter --statsd.mapping-config=statsd_exporter.yml`.
# Made from the code by `python -m srdp.metrics_table`. What is not named here is exported under the name that it has.
mappings:
"""


def page() -> str:
    """Return ``docs/metrics.md``."""
    return _INTRODUCTION + "".join(
        f"| `{metric.name}` | `{_series(metric)}` | {metric.kind} | {metric.meaning} |\n" for metric in METRICS
    )


def _series(metric: Metric) -> str:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    return f"{metric.prometheus}{labels}"


def mapping() -> str:
    """Return ``docs/monitoring/statsd_exporter.yml``."""
    return _BEGINNING + "".join(map(_mapping, METRICS))


def _mapping(metric: Metric) -> str:
    match = "airflow." + metric.name.format_map(dict.fromkeys(metric.labels, "*"))
    lines = [f'  - match: "{match}"', f'    name: "{metric.prometheus}"']
    if metric.kind == "timer":
        lines.append("    observer_type: summary")
    if metric.labels:
        lines.append("    labels:")
        lines += [f'      {label}: "${number}"' for number, label in enumerate(metric.labels, start=1)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    MAPPING.write_text(mapping(), encoding="utf-8")
