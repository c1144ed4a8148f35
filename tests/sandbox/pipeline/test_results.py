from __future__ import annotations

import pytest

from sandbox.pipeline.results import Score, falling, nothing_to_do


@pytest.mark.parametrize(("value", "score"), [(0.0, 1.0), (0.1, 1.0), (0.2, 0.5), (0.3, 0.0), (9.0, 0.0)])
def test_falling(value: float, score: float):
    assert falling(value, good=0.1, bad=0.3) == pytest.approx(score)


@pytest.mark.parametrize(
    ("value", "band"),
    [
        (None, "none"),
        (-0.1, "error"),
        (0.33, "error"),
        (0.34, "warning"),
        (0.66, "warning"),
        (0.67, "suboptimal"),
        (0.90, "suboptimal"),
        (0.91, "good"),
        (1.0, "good"),
    ],
)
def test_bands(value: float | None, band: str):
    assert Score(value, "").band == band


def test_nothing_to_do_has_no_score_and_says_why():
    result = nothing_to_do("There is no weather.")
    assert result.score() == Score(None, "There is no weather.")
    assert result.notes == ("There is no weather.",)
