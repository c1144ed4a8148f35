"""The message about a limit."""

from __future__ import annotations

import pytest

from srdp.engines.limits import length_of


@pytest.mark.parametrize(
    ("hours", "length"),
    [(168.0, "168 h"), (8760.0, "8760 h"), (1.5, "1.5 h"), (1.0, "1 h"), (0.75, "45 min"), (1 / 60, "1 min"),
     (0.002, "7.2 s")],
)  # fmt: skip
def test_a_wall_time_is_reported_in_the_unit_that_people_would_use(hours: float, length: str) -> None:
    assert length_of(hours) == length
