"""Statements are found by their names in the files of a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from srdp.domain.common.errors import SettingsError
from srdp.hooks.statements import statement, statements

SQL = Path(__file__).parents[3] / "include" / "sql"


def test_a_statement_is_found_in_whichever_file_it_is(tmp_path):
    (tmp_path / "a.sql").write_text("-- About a.\n\n-- name: one\n-- Why.\nSELECT 1\n\n-- name: two\nSELECT 2\n")
    (tmp_path / "b.sql").write_text("-- name: three\nSELECT 3\n")
    (tmp_path / "schema.sql").write_text("CREATE TABLE a (b int);")
    assert statements(tmp_path) == {"one": "-- Why.\nSELECT 1", "two": "SELECT 2", "three": "SELECT 3"}
    assert statement(tmp_path, "three") == "SELECT 3"


def test_a_file_that_has_changed_is_read_again(tmp_path):
    file = tmp_path / "a.sql"
    for number in (1, 2):
        file.write_text(f"-- name: one\nSELECT {number}\n")
        os.utime(file, ns=(number, number))
        assert statement(tmp_path, "one") == f"SELECT {number}"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"clock.sql": "-- As before.\nSELECT now()\n"}, r"clock\.sql holds a statement without a name"),
        ({"a.sql": "-- name: x\nSELECT 1\n", "b.sql": "-- name: x\nSELECT 2\n"}, "another file holds too"),
        ({}, "has no statement x: SRDP_HOME must name"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(tmp_path, files, why):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=why):
        statement(tmp_path, "x")


@pytest.mark.parametrize("folder", ["ledger", "archive", "sandbox"])
def test_every_statement_is_one_statement(folder):
    found = statements(SQL / folder)
    assert len(found) > 10
    bare = {name: re.sub("--.*", "", text) for name, text in found.items()}
    assert [name for name, text in bare.items() if ";" in text] == []
