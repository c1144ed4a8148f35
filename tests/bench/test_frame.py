"""How the benchmarks take figures, and keep them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.__main__ import PAGE, all_cases, chosen
from bench.frame import Case, Figure, Options, Result, Sides, take

from bench import table

FIGURE = Figure("a-figure", "something", "its rival", goal=1.1)


def case_of(ours, rival=None, **kwargs) -> Case:
    @contextmanager
    def arranged(_: Options) -> Iterator[Sides]:
        yield Sides(ours=ours, rival=rival, before=lambda: None)

    return Case(arranged, (FIGURE,), **kwargs)


def test_both_sides_are_measured_as_often_in_an_order_that_changes_and_the_warm_up_does_not_count(tmp_path):
    done: list[str] = []

    def side(name: str, *, first: float, then: float):
        def once() -> Mapping[str, float]:
            done.append(name)
            return {FIGURE.name: first if done.count(name) == 1 else then}

        return once

    case = case_of(side("A", first=100, then=3), side("B", first=1, then=2), rounds=4)
    [result] = take(case, Options(tmp_path), report=lambda _: None)
    assert "".join(done) == "BA" + "AB" + "BA" + "AB" + "BA"
    assert (result.ours, result.rival, result.value) == ([3] * 4, [2] * 4, 1.5)
    assert not result.is_met


@pytest.mark.parametrize(("value", "is_met"), [(0.1, True), (0.104, False), (0.1000001, False)])
def test_a_figure_is_held_to_its_goal_and_not_what_is_shown_of_it(value, is_met):
    assert Result(Figure("f", "a share of a core", "", goal=0.1), ours=[value]).is_met is is_met


def test_a_side_that_reports_nothing_is_timed(tmp_path):
    [result] = take(case_of(lambda: None, rounds=5), Options(tmp_path), report=lambda _: None)
    assert len(result.ours) == 5
    assert all(0 <= seconds < 1 for seconds in result.ours)
    assert result.is_met, "what has no rival is held to the goal itself"


def test_a_line_of_the_page_is_replaced_when_it_is_taken_again_and_the_others_stay():
    page = re.sub(r"(?m)^\| `.*\n", "", PAGE.read_text())
    other = Figure("other", "another", "", goal=75)
    names = ["other", FIGURE.name]
    first = [Result(FIGURE, [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]), Result(other, [74.0, 80.0])]
    kept = table.updated(page, first, taken="Monday", machine="a machine", order=names)
    again = table.updated(kept, [Result(FIGURE, [1.1], [1.0])], taken="Tuesday", machine="another machine", order=names)
    lines = [line for line in again.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == ["other", FIGURE.name] * 2
    assert "**missed**" in lines[0]
    assert "Monday" in lines[0]
    assert "1.10 | ≤ 1.1 | met | Tuesday, load 0.0, 1 round |" in lines[1]
    assert "another machine" in again
    assert FIGURE.name not in table.updated(again, [], taken="", machine="", order=["other"])


def test_every_figure_has_a_name_of_its_own_and_is_found_by_it():
    cases = all_cases()
    names = [figure.name for case in cases for figure in case.figures]
    assert len(names) == len(set(names)) > 0
    assert all(name in [figure.name for case in chosen(cases, [name]) for figure in case.figures] for name in names)
    with pytest.raises(SystemExit, match="There is no figure 'nothing'"):
        chosen(cases, ["nothing"])


def test_a_page_without_a_place_for_figures_is_not_written(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n")
    with pytest.raises(ValueError, match="no markers"):
        table.write(page, [], taken="", machine="", order=[])
