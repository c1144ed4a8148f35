"""The DAGs as Airflow's own DAG processor would load them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def dag_bag() -> DagBag:
    return DagBag(dag_folder=DAGS)


@pytest.fixture
def dags(dag_bag: DagBag) -> Mapping[str, DAG]:
    assert dag_bag.import_errors == {}
    return dag_bag.dags
