from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common.errors import Refused
from srdp.domain.runs.states import (
    ACTIVE,
    BEFORE_DELIVERY,
    TRANSITIONS,
    RunState,
    check_transition,
    state_after_failure,
)

RUN = "vla-20261122-182453-4f7k"

# The table of the design, spelled out a second time: a change of one of the two is noticed.
ALLOWED = {
    "created": "fetching cancelled",
    "fetching": "processing failed cancelled",
    "processing": "awaiting_qa failed cancelled",
    "failed": "rejected superseded cleaning",
    "cancelled": "rejected superseded cleaning",
    "awaiting_qa": "ingesting rejected superseded",
    "ingesting": "archived ingest_failed",
    "ingest_failed": "ingesting awaiting_qa",
    "archived": "ingesting cleaning",
    "superseded": "cleaning",
    "rejected": "cleaning",
    "cleaning": "cleaned",
    "cleaned": "",
}


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(RunState) == {RunState(state) for state in ALLOWED}


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(RunState, RunState)))
def test_exactly_the_table_is_allowed(current: RunState, wanted: RunState) -> None:
    if wanted in ALLOWED[current].split():
        check_transition(RUN, current, wanted)
    else:
        with pytest.raises(Refused) as caught:
            check_transition(RUN, current, wanted)
        sentence = str(caught.value)
        assert RUN in sentence
        assert f"in state {current} " in sentence
        assert f"become {wanted}: " in sentence
        assert sentence.endswith(".")
        assert sentence.count(". ") == 0


def test_documented_diagram_matches_the_table() -> None:
    page = (Path(__file__).parents[4] / "docs" / "states.md").read_text(encoding="utf-8")
    arrows = set(re.findall(r"^ *([a-z_]+) --> ([a-z_]+)", page, re.MULTILINE))
    assert arrows == {(str(state), str(after)) for state, following in TRANSITIONS.items() for after in following}


@given(st.lists(st.sampled_from(RunState), max_size=60))
def test_whatever_is_asked_a_run_only_walks_along_the_table(asked: list[RunState]) -> None:
    state, path = RunState.CREATED, [RunState.CREATED]
    for wanted in asked:
        try:
            check_transition(RUN, state, wanted)
        except Refused:
            continue
        state = wanted
        path.append(state)
    for before, after in itertools.pairwise(path):
        assert after in ALLOWED[before].split()
    # What must hold on every path, whatever the table says.
    for index, current in enumerate(path):
        earlier = path[:index]
        if current == RunState.ARCHIVED:
            assert RunState.INGESTING in earlier
            assert RunState.AWAITING_QA in earlier
        if current == RunState.AWAITING_QA:
            assert RunState.PROCESSING in earlier
        if current == RunState.CLEANED:
            assert path[index - 1] == RunState.CLEANING
            assert path[index:] == [RunState.CLEANED]
        if current == RunState.CLEANING:
            # Deleted is what is in the archive, or was discarded by a decision.
            assert path[index - 1] in {"archived", "superseded", "rejected", "failed", "cancelled"}


@given(st.data())
def test_every_state_leads_to_a_cleaned_directory(data: st.DataObject) -> None:
    state = data.draw(st.sampled_from(RunState))
    reached, edge = {state}, [state]
    while edge:
        for following in TRANSITIONS[edge.pop()]:
            if following not in reached:
                reached.add(following)
                edge.append(following)
    assert RunState.CLEANED in reached


def test_active_states() -> None:
    assert {"created", "fetching", "processing", "ingesting", "ingest_failed"} == ACTIVE


@pytest.mark.parametrize("state", sorted(BEFORE_DELIVERY))
def test_a_run_may_always_become_what_a_failure_makes_of_it(state: RunState) -> None:
    after = state_after_failure(state)
    check_transition(RUN, state, after)
    assert after not in ACTIVE
