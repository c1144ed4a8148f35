from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import psycopg2
import pytest

from srdp.domain.common.errors import SettingsError
from srdp.hooks.ledger_schema import apply_schema, main, migrations

SQL = Path(__file__).parents[3] / "include" / "sql"


@pytest.mark.parametrize("names", [[], ["0002_a.sql"], ["0001_a.sql", "0001_b.sql"], ["0001_a.sql", "0003_b.sql"]])
def test_numbers_without_order_are_refused(tmp_path, names):
    folder = tmp_path / "ledger" / "migrations"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    with pytest.raises(SettingsError, match="each number once"):
        migrations(tmp_path)


def test_a_name_without_number_is_refused(tmp_path):
    folder = tmp_path / "ledger" / "migrations"
    folder.mkdir(parents=True)
    (folder / "more.sql").touch()
    with pytest.raises(SettingsError, match="is not called like"):
        migrations(tmp_path)


@pytest.mark.servers
@pytest.mark.parametrize("driver", [psycopg, psycopg2])
def test_a_second_time_finds_nothing_to_do(postgres, driver):
    connection = driver.connect(postgres.create_database(f"schema_{driver.__name__}"))
    assert apply_schema(connection, SQL) == [path.name for _, path in migrations(SQL)]
    assert apply_schema(connection, SQL) == []
    connection.close()


@pytest.mark.servers
def test_many_at_once_apply_it_once(postgres):
    url = postgres.create_database("schema_at_once")

    def apply(_: int) -> list[str]:
        with psycopg.connect(url) as connection:
            return apply_schema(connection, SQL)

    with ThreadPoolExecutor(6) as pool:
        applied = [names for names in pool.map(apply, range(6)) if names]
    assert len(applied) == 1


@pytest.mark.servers
def test_a_migration_that_fails_leaves_nothing_behind(postgres, tmp_path):
    folder = tmp_path / "ledger" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_good.sql").write_text("CREATE TABLE good (a int);")
    (folder / "0002_bad.sql").write_text("CREATE TABLE bad (a int); SELECT nothing FROM nowhere;")
    with psycopg.connect(postgres.create_database("schema_failed")) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            apply_schema(connection, tmp_path)
        assert connection.execute("SELECT to_regclass('good'), to_regclass('schema_version')").fetchone() == (
            None,
            None,
        )


@pytest.mark.servers
def test_each_run_that_is_there_gets_a_token_of_its_own(postgres, tmp_path):
    former = tmp_path / "ledger" / "migrations"
    former.mkdir(parents=True)
    for number, path in migrations(SQL):
        if number < 7:
            shutil.copy(path, former)
    with psycopg.connect(postgres.create_database("schema_tokens")) as connection:
        apply_schema(connection, tmp_path)
        for number in (1, 2):
            connection.execute(
                "WITH asked AS (INSERT INTO request (kind, subject, project, locator) VALUES "
                "('vla_calibration', %(name)s, '13A-537', 'uid://x') RETURNING request_id) "
                "INSERT INTO pipeline_run (pipeline_run_id, request_id, version, state, dag_id, dag_run_id, "
                "requested_by, recipe, cores, memory_gb) "
                "SELECT %(name)s, request_id, 1, 'created', 'x', %(name)s, 'x', 'x', 1, 1 FROM asked",
                {"name": f"vla-20261122-182453-4f7{number}"},
            )
        apply_schema(connection, SQL)
        tokens = connection.execute("SELECT directory_token FROM pipeline_run").fetchall()
    assert len({*tokens} - {(None,)}) == 2


@pytest.mark.servers
def test_tables_of_a_newer_release_are_refused(postgres, tmp_path):
    with psycopg.connect(postgres.create_database("schema_newer")) as connection:
        apply_schema(connection, SQL)
        connection.execute("INSERT INTO schema_version (number, name) VALUES (9999, '9999_later.sql')")
        with pytest.raises(SettingsError, match="at version 9999"):
            apply_schema(connection, SQL)


@pytest.mark.servers
def test_the_command_says_what_it_did(settings, postgres, monkeypatch, as_connection, capsys):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(postgres.create_database("schema_command")))
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    main()
    main()
    applied = ", ".join(path.name for _, path in migrations(SQL))
    assert applied.startswith("0001_ledger.sql, 0002_verdict.sql")
    assert capsys.readouterr().out == f"Applied {applied}\nThe ledger's tables are up to date.\n"
