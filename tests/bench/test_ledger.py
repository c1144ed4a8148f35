"""The statements of the ledger, as the benchmark asks them."""

from __future__ import annotations

import psycopg
import pytest
from bench.ledger import STATEMENTS, LedgerOfRuns

from bench import ROOT
from srdp.hooks.ledger_schema import apply_schema
from srdp.hooks.statements import statements

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def small_ledger(postgres):
    with psycopg.connect(postgres.create_database("measured_ledger")) as connection:
        apply_schema(connection, ROOT / "include" / "sql")
        connection.autocommit = True
        yield LedgerOfRuns(connection, 100)
    postgres.drop_database("measured_ledger")


@pytest.mark.parametrize("name", sorted(statements(STATEMENTS)))
def test_every_statement_of_the_ledger_is_measured(small_ledger, name):
    """One with a parameter that the benchmark has no value of is a KeyError: add it there."""
    assert small_ledger.seconds(name, statements(STATEMENTS)[name]) > 0
