"""What expires when, how much space that gives, and what a removal of what has expired reports."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import ServiceUnavailable, quoted
from srdp.domain.files.shared_folders import walk_shared
from srdp.domain.retention.kinds import CALIBRATED_MEASUREMENT_SETS, Kind
from srdp.domain.retention.rules import kind_of_run
from srdp.domain.runs.areas import MARKER
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.run_marker import is_marker

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import CachedMeasurementSet, PipelineRun

#: How far a report looks ahead.
AHEAD = timedelta(days=7)
_GIGABYTE = 1e9
# What a report names of each sort; the ledger and the areas have all.
_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """A run's directory, or what is kept of it for users, and when it goes.

    Attributes:
        kind: the name of its kind in the table of kinds.
        pipeline_run_id: the run.
        subject: what the run is about: the EB name or the MOUS UID; of what is kept for users, its path.
        since: since when it is what it is (UTC).
        expires_at: from when on it may be removed (UTC).
        size_bytes: how much space its removal gives.
        why: why it could not be removed, or is kept for now, in one sentence.
    """

    kind: str
    pipeline_run_id: PipelineRunId
    subject: str
    since: datetime
    expires_at: datetime
    size_bytes: int = 0
    why: str = ""

    @property
    def gigabytes(self) -> str:
        """How much space it gives, for people."""
        return gigabytes(self.size_bytes)

    @property
    def date(self) -> str:
        """From which day on it may be removed (UTC)."""
        return f"{self.expires_at:%Y-%m-%d}"

    @property
    def line(self) -> str:
        """Everything about it in one line of printable characters."""
        why = f": {' '.join(self.why.split())}" if self.why else ""
        subject = quoted(self.subject, 200).strip("'")
        return f"{self.date}  {self.gigabytes:>12}  {self.kind:<15}  {self.pipeline_run_id}  {subject}{why}"


def expiring_run(run: PipelineRun, days: Mapping[str, int], kinds: Sequence[Kind]) -> Expiring | None:
    """Return when a run expires; None: never, in its present state.

    Args:
        run: the run.
        days: for how many days each kind of thing is kept.
        kinds: the table of kinds.
    """
    kind = kind_of_run(run, kinds)
    if kind is None:
        return None
    return Expiring(
        kind=kind.name,
        pipeline_run_id=run.pipeline_run_id,
        subject=run.subject,
        since=run.state_since,
        expires_at=run.state_since + timedelta(days=days[kind.name]),
    )


def expiring_measurement_set(cached: CachedMeasurementSet) -> Expiring:
    """Return when a measurement set expires: the day that was fixed when it was put into the cache.

    Args:
        cached: the measurement set.
    """
    return Expiring(
        kind=CALIBRATED_MEASUREMENT_SETS,
        pipeline_run_id=cached.pipeline_run_id,
        subject=cached.path,
        since=cached.cached_at,
        expires_at=cached.expires_at,
    )


class Space:
    """How much space removals give, one after the other: of a file with several hard links, the last that goes.

    Nothing needs to be removed for it: what was measured once counts as gone.
    """

    def __init__(self) -> None:
        self._gone: Counter[tuple[int, int]] = Counter()

    def freed_by(self, directories: Iterable[Path]) -> int:
        """Return how many bytes the removal of directories gives after all that was measured before.

        What cannot be read counts nothing, nor does a run's marker; links are not followed.

        Args:
            directories: the directories; one that is not there gives nothing.
        """
        found = (found for each in directories for found in walk_shared(each, each, unreadable=True))
        return sum(self._freed_by_file(facts) for path, facts in found if not is_marker(path.name))

    def _freed_by_file(self, facts: os.stat_result) -> int:
        if not stat.S_ISREG(facts.st_mode):
            return 0
        if facts.st_nlink > 1:
            inode = (facts.st_dev, facts.st_ino)
            self._gone[inode] += 1
            if self._gone[inode] < facts.st_nlink:
                return 0
        return facts.st_size


def entries(root: Path) -> dict[str, bool]:
    """Return the names in a root, and whether each is a directory and not a link to one.

    Args:
        root: a root that runs or what is kept of them are in.

    Raises:
        ServiceUnavailable: it cannot be read: not mounted, perhaps.
    """
    try:
        with os.scandir(root) as found:
            return {entry.name: entry.is_dir(follow_symlinks=False) for entry in found}
    except OSError as error:
        raise ServiceUnavailable(
            f"The area {root} cannot be looked into ({error.strerror}): see whether its file system is mounted."
        ) from None


def unknown_entries(
    root: Path, found: Mapping[str, bool], ours: Collection[str], removing: Collection[str], places: Iterable[Path]
) -> list[str]:
    """Return the names in a root that belong to nothing that is known.

    Args:
        root: the root.
        found: what is in it; see :func:`entries`.
        ours: the names of directories that belong there.
        removing: those of them that are being removed: hidden ones of their names are no unknown_entries either.
        places: where the settings say that something is, in this root or elsewhere.
    """
    known = set(ours)
    known |= {place.relative_to(root).parts[0] for place in places if place != root and place.is_relative_to(root)}

    def belongs(name: str, *, is_directory: bool) -> bool:
        hidden_of = name[1:].rpartition(".")[0] if name.startswith(".") else ""
        return is_directory and (name in known or hidden_of in removing)

    return sorted(
        name for name, is_directory in found.items() if name != MARKER and not belongs(name, is_directory=is_directory)
    )


@dataclass(kw_only=True)
class ExpiryReport:
    """What a look at everything that expires has done, or in a dry run would do.

    Attributes:
        now: the moment that counts (UTC).
        dry_run: whether nothing was to be removed.
        removed: what was removed; in a dry run, what would be.
        failed: what should have been removed and could not be.
        kept: what has expired and is still needed.
        held: what has expired and is not removed before a person has confirmed that it is so much, or so recent.
        why_held: why, a sentence each.
        coming: what expires within the next week.
        problems: what is wrong with the text file of retention, one sentence each.
        unknown_entries: what belongs to nothing that is known, one sentence each; never removed.
        names_own_files: whether something is kept because analysts' own files, which are there, are named by this.
    """

    now: datetime
    dry_run: bool
    removed: list[Expiring] = field(default_factory=list)
    failed: list[Expiring] = field(default_factory=list)
    kept: list[Expiring] = field(default_factory=list)
    held: list[Expiring] = field(default_factory=list)
    why_held: tuple[str, ...] = ()
    coming: list[Expiring] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    unknown_entries: tuple[str, ...] = ()
    names_own_files: bool = False

    @property
    def has_done_something(self) -> bool:
        """Whether anything was removed or should have been, or people's own files are named before they go."""
        return bool(self.removed or self.failed or self.names_own_files)

    @property
    def is_worth_a_mail(self) -> bool:
        """Whether anybody wants to know: not when nothing expired, nothing will, and the text file is right."""
        return bool(self.has_done_something or self.kept or self.coming or self.problems)

    @property
    def until(self) -> datetime:
        """The end of the week that it looks ahead."""
        return self.now + AHEAD

    @property
    def sections(self) -> list[tuple[str, list[Expiring]]]:
        """What was found of each sort, with its heading; nothing empty."""
        freed, coming = gigabytes(_total(self.removed)), gigabytes(_total(self.coming))
        found = [
            (f"Would be removed now, {freed}" if self.dry_run else f"Removed, {freed}", self.removed),
            ("Could not be removed", self.failed),
            ("Have expired and are kept for now", self.kept),
            ("Have expired and wait for this list to be checked", self.held),
            (f"Will be removed until {self.until:%Y-%m-%d}, {coming}", self.coming),
        ]
        return [(heading, things) for heading, things in found if things]

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of a log."""
        for heading, things in self.sections:
            yield f"{heading} ({len(things)}):"
            yield from _shortened([thing.line for thing in things])
        for heading, sentences in (
            ("Nothing is removed without asking", self.why_held),
            ("The text file of retention", self.problems),
            ("Belongs to no known run, and is not touched", self.unknown_entries),
        ):
            if sentences:
                yield f"{heading} ({len(sentences)}):"
                yield from _shortened(sentences)
        if not self.is_worth_a_mail and not self.held:
            yield "Nothing has expired, and nothing will within a week."

    def summary(self) -> dict[str, Any]:
        """Return the report as what a task returns: numbers, and the first of each sort."""
        return {
            "dry_run": self.dry_run,
            "now": self.now.isoformat(),
            "bytes_removed": _total(self.removed),
            "bytes_coming": _total(self.coming),
            **{
                name: {"number": len(things), "first": [_described(thing) for thing in things[:_SHOWN]]}
                for name, things in (
                    ("removed", self.removed),
                    ("failed", self.failed),
                    ("kept", self.kept),
                    ("held", self.held),
                    ("coming", self.coming),
                )
            },
            "why_held": list(self.why_held),
            "problems": list(self.problems[:_SHOWN]),
            "unknown_entries": list(self.unknown_entries[:_SHOWN]),
        }


def gigabytes(size_bytes: int) -> str:
    """Return a size for people.

    Args:
        size_bytes: the size, in bytes.
    """
    return f"{size_bytes / _GIGABYTE:.3f} GB"


def _total(things: Iterable[Expiring]) -> int:
    return sum(thing.size_bytes for thing in things)


def _shortened(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN} more"


def _described(thing: Expiring) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": thing.kind,
        "pipeline_run_id": thing.pipeline_run_id,
        "date": thing.date,
        "bytes": thing.size_bytes,
    }
    return described | ({"why": thing.why} if thing.why else {})
