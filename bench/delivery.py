"""A run's directory of 10 GB into the QA area and back, beside one of 1 MB: a move is a rename."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.frame import Case, Figure, Options, Sides
from srdp.domain.disk.delivery import move_run_directory
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import RunMarker, make_marked

_LARGE, _SMALL, _LARGE_QUICK = 10_000_000_000, 1_000_000, 100_000_000
_FILES = 20
# A move takes milliseconds: so many there and back are timed at once.
_MOVES = 100


@contextmanager
def _moves(options: Options) -> Iterator[Sides]:
    for area in ("processing", "qa"):
        (options.place / area).mkdir()
    large = _LARGE_QUICK if options.quick else _LARGE
    yield Sides(ours=_moved(options.place, "aaaa", large), rival=_moved(options.place, "bbbb", _SMALL))


def _moved(place: Path, letters: str, size: int) -> Callable[[], None]:
    run_id = pipeline_run_id(f"vla-20260101-000000-{letters}")
    here, there = (RunDirectory(place / area / run_id) for area in ("processing", "qa"))
    marker = RunMarker(run_id, uuid.uuid4())
    make_marked(here.root, marker)
    here.products.mkdir()
    for number in range(_FILES):
        with (here.products / f"product-{number}").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size // _FILES)

    def there_and_back() -> None:
        for _ in range(_MOVES):
            move_run_directory(here, there, marker)
            move_run_directory(there, here, marker)

    return there_and_back


CASES = (
    Case(
        _moves,
        (Figure("move", f"delivered and moved back {_MOVES} times, 10 GB", "the same of 1 MB", goal=1.1),),
        rounds=9,
    ),
)
