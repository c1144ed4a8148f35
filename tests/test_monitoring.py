"""Rules, dashboard, mapping and page say what is sent: every name in them is one of the table that a real run sends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from srdp.hooks.metrics import METRICS
from srdp.metrics_table import MAPPING, PAGE, mapping, page

FOLDER = Path(__file__).parents[1] / "docs" / "monitoring"
# Of PromQL, what may stand before a bracket or between two expressions, and is no metric.
_WORDS = frozenset({"absent", "by", "increase", "max", "or", "predict_linear", "rate", "sum", "time"})
_SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})?")


def exported() -> dict[str, set[str]]:
    """Every name under which statsd_exporter exports a metric, with its labels."""
    found = {}
    for metric in METRICS:
        ends = ("", "_sum", "_count") if metric.kind == "timer" else ("",)
        found |= {metric.prometheus + end: set(metric.labels) for end in ends}
    return found


def rules() -> list[dict[str, object]]:
    groups = yaml.safe_load((FOLDER / "srdp.rules.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, object]]:
    return json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))["panels"]


def expressions() -> dict[str, str]:
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


@pytest.mark.parametrize("expression", expressions().values(), ids=expressions())
def test_an_expression_asks_for_metrics_and_labels_that_are_sent(expression):
    grouped = {
        label for labels in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression) for label in labels.split(", ")
    }
    bare = re.sub(r"\[\w+\]|\b(?:by|without) \([^)]*\)|(?<![\w.])\d[\w.]*", "", expression)
    series = [(name, labels) for name, labels in _SERIES.findall(re.sub(r'"[^"]*"', '""', bare)) if name not in _WORDS]
    assert series
    for name, labels in series:
        assert name in exported()
        assert set(re.findall(r"(\w+)(?:=|!)", labels)) | grouped <= exported()[name]


def test_the_states_that_rules_and_panels_name_are_states_of_a_run():
    from srdp.domain.runs.states import RunState

    named = re.findall(r'state=~?"([^"]*)"', " ".join(expressions().values()))
    assert {state for states in named for state in states.split("|")} <= {str(state) for state in RunState}


def test_every_metric_is_shown_and_every_label_in_a_sentence_is_there():
    shown = " ".join(expressions().values())
    assert [metric.prometheus for metric in METRICS if metric.prometheus not in shown] == []
    for rule in rules():
        said = " ".join(rule["annotations"].values())
        labels = [exported()[name] for name, _labels in _SERIES.findall(rule["expr"]) if name in exported()]
        assert set(re.findall(r"\$labels\.(\w+)", said)) <= set.intersection(*labels)


def test_page_and_mapping_are_what_the_table_says():
    said = "run: PYTHONPATH=plugins .venv/bin/python -m srdp.metrics_table"
    assert PAGE.read_text("utf-8") == page(), said
    assert MAPPING.read_text("utf-8") == mapping(), said


def test_the_mapping_gives_each_metric_its_name_and_labels():
    """By statsd_exporter's own rule: a `*` is one part of a name, and `$1` the first of them."""
    for entry, metric in zip(yaml.safe_load(MAPPING.read_text("utf-8"))["mappings"], METRICS, strict=True):
        sent = "airflow." + metric.name.format_map({label: f"some-{label}" for label in metric.labels})
        match = re.fullmatch(re.escape(entry["match"]).replace(r"\*", r"([^.]*)"), sent)
        assert match, sent
        labels = {label: match[int(number[1:])] for label, number in entry.get("labels", {}).items()}
        assert (entry["name"], labels) == (metric.prometheus, {label: f"some-{label}" for label in metric.labels})
