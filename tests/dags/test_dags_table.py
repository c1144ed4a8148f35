"""The page of DAGs is what Airflow shows of them."""

from __future__ import annotations

from srdp.dags_table import PAGE, dags_table


def test_the_page_of_dags_is_what_airflow_shows(dags) -> None:
    assert PAGE.read_text("utf-8") == dags_table(dags), "run: PYTHONPATH=plugins .venv/bin/python -m srdp.dags_table"


def test_each_dag_has_a_page_of_its_own(dags) -> None:
    for dag in dags.values():
        assert dag.doc_md.startswith("### "), dag.dag_id
        assert len(dag.doc_md) > 200, dag.dag_id
