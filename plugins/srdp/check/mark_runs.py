"""``python -m srdp.check.mark_runs`` marks the directories that runs of an earlier release left.

Since then each directory of a run holds a marker from its first moment on (:mod:`srdp.domain.runs.run_marker`), and one
without is neither moved nor removed. What is there from before is marked if it proves otherwise to be the run's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from srdp.domain.common.errors import SrdpError, quoted
from srdp.domain.disk.removal import holds_ppr_of, places_of_run
from srdp.domain.runs.areas import check_areas
from srdp.domain.runs.run_marker import MARKER, Standing, opened, put_marker, standing_of
from srdp.domain.runs.states import RunState

if TYPE_CHECKING:
    from pathlib import Path

    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.hooks.ledger import Ledger
    from srdp.settings import Settings


def mark_runs(settings: Settings, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    """Mark what is on disk of every run and holds no marker; may be repeated.

    * A directory of a run that CASA was started for holds the PPR that the ledger recorded; one of a run that came to
      nothing before holds none. What a removal or a delivery that was killed has hidden may have lost it.
    * One in the spool area belongs to the account that this runs under, whose own that area is.
    * One in the cache is where the ledger says that the measurement set is, and of that account too.

    Args:
        settings: where things are.
        ledger: the ledger.

    Yields:
        For each directory that held no marker whether it does now, and a sentence.

    Raises:
        StorageUnavailable: an area is not there, or not prepared; nothing is marked then.
        SettingsError: areas are in each other.
        ServiceUnavailable: the ledger cannot be reached.
    """
    check_areas(settings.named_areas())
    for run in ledger.runs.in_states(state for state in RunState if state is not RunState.CLEANED):
        try:
            places = places_of_run(settings.areas, run.pipeline_run_id)
        except SrdpError as error:
            yield False, str(error)
            continue
        for place in places:
            proof = _is_ours if place.parent == settings.spool_area else partial(_is_directory_of, run=run)
            yield from _marked(place, run, proof)
    for cached in ledger.measurement_sets.kept():
        place = settings.measurement_set_cache / cached.pipeline_run_id
        if place.is_dir():
            own = (place / cached.path).parent == place
            yield from _marked(place, ledger.runs.get(cached.pipeline_run_id), _is_ours if own else _is_nobodys)


def _marked(place: Path, run: PipelineRun, proof: Callable[[Path], bool]) -> Iterator[tuple[bool, str]]:
    """Mark a directory if it proves to be the run's; one that cannot be looked into holds up no other."""
    try:
        yield from _looked_at(place, run, proof)
    except FileNotFoundError:
        return  # removed meanwhile
    except (SrdpError, OSError) as error:
        yield False, f"{quoted(place, 300)} is not marked: {error}"


def _looked_at(place: Path, run: PipelineRun, proof: Callable[[Path], bool]) -> Iterator[tuple[bool, str]]:
    with opened(place) as descriptor:
        standing = standing_of(descriptor, run.marker)
    if standing is not Standing.FOREIGN:
        return
    if os.path.lexists(place / MARKER) or not proof(place):
        sentence = (
            f"{quoted(place, 300)} is not marked: nothing in it proves that it is the directory of "
            f"{run.pipeline_run_id} ({run.state}). If it is, and its working/PPR.xml was edited, put the recorded one "
            "back and repeat; if it is not, give it another name. Remove nothing of a run that awaits its verdict."
        )
        yield False, sentence
        return
    put_marker(place, run.marker)
    yield True, f"{quoted(place, 300)} is marked as the directory of {run.pipeline_run_id}."


def _is_directory_of(place: Path, run: PipelineRun) -> bool:
    if holds_ppr_of(place, run):
        return True
    there = os.path.lexists(place / "working" / "PPR.xml")
    return not there and (run.ppr_sha256 is None or place.name != run.pipeline_run_id)


def _is_ours(place: Path) -> bool:
    return place.lstat().st_uid == os.geteuid()


def _is_nobodys(_: Path) -> bool:
    return False


def main() -> int:
    """Mark, and print what was done; return 0 if nothing was left unmarked."""
    # Airflow's servers read connections from its database too, and not from the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from srdp.hooks.ledger import Ledger
    from srdp.settings import load_settings

    all_marked = True
    try:
        settings = load_settings()
        for is_marked, sentence in mark_runs(settings, Ledger(settings)):
            print(f"{'OK   ' if is_marked else 'WRONG'} {sentence}", flush=True)
            all_marked &= is_marked
    except SrdpError as problem:
        print(f"WRONG {problem}", file=sys.stderr)
        return 1
    print("Every directory of a run is marked." if all_marked else "Not every directory of a run is marked.")
    return 0 if all_marked else 1


if __name__ == "__main__":
    sys.exit(main())
