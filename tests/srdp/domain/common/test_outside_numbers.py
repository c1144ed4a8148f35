"""One number in any spelling, and nonsense in none."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.outside_numbers import real_number, whole_number
from srdp.domain.ngas.status import stored_file

SEEN_ON_POSTGRESQL = Path(__file__).parents[3] / "sandbox" / "ngas" / "query_on_postgresql.json"
BYTES = {"lowest": 0, "highest": 2**53, "what": "size in bytes"}


@pytest.mark.parametrize(
    "value",
    [20480, 20480.0, "20480", "20480.0", " 20480 ", "+20480", "2.048e4", "2048E1", "20480.", Decimal("20480.00")],
    ids=repr,
)
def test_every_spelling_of_a_whole_number_is_that_number(value):
    assert whole_number(value, **BYTES) == 20480


@given(st.integers(0, 2**53), st.sampled_from([int, float, Decimal, str, lambda number: f"{number}.0"]))
def test_no_byte_is_lost_whatever_the_spelling(number, spelt):
    assert whole_number(spelt(number), **BYTES) == number


@pytest.mark.parametrize(
    "value",
    [
        *["", "nan", "NaN", "inf", "-Infinity", "1e400", "1e-400", "1e99999999", "0.5", "-1", "0x10", "1_000", "1 000"],
        *["\u0663", "9" * 400, "--1", "1e", None, True, float("nan"), float("inf"), 0.5, -1, 2.0**60, 10**30, b"1"],
        *[Decimal("NaN"), Decimal("sNaN"), Decimal("1e999999"), [], {}, "1\n", "20480\nSubject: x"],
    ],
    ids=repr,
)
def test_what_is_no_size_is_refused_in_one_short_sentence(value):
    with pytest.raises(InvalidInput, match="size in bytes") as caught:
        whole_number(value, **BYTES)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_real_number_may_have_a_fraction_and_is_finite():
    assert [real_number(value, what="x") for value in ("86.5", 86.5, Decimal("86.5"), "8.65e1")] == [86.5] * 4
    for value in ("nan", "1e400", float("inf"), None, "GHz", True):
        with pytest.raises(InvalidInput):
            real_number(value, what="x")


def test_a_row_of_ngas_on_postgresql_is_read_as_it_is():
    (row,) = json.loads(SEEN_ON_POSTGRESQL.read_bytes())
    stored = stored_file(row, "host:1")
    assert (stored.version, stored.size, stored.checksum, stored.disk_id) == (1, 20480, 1790440115, "d1")
    assert stored_file(row | {"checksum": "1790440115.0", "file_version": "1.0"}, "host:1") == stored
    for wrong in ({"file_size": 0.5}, {"file_size": -1}, {"file_size": "nan"}, {"file_version": 0}):
        with pytest.raises(InvalidInput, match=r"NGAS server host:1 describes file 'cal_1\.tar'"):
            stored_file(row | wrong, "host:1")
