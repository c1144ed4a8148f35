"""CASA's log: where it is, its last lines, the stage that runs, and the error that the pipeline reports.

The format is CASA's own: a line is time, level, origin and message, separated by tabs; the origin of a continuation
line ends with ``+``. The pipeline first prints the whole list of commands, so that a stage's name in the log proves
nothing. Of each stage it then says ``Executing command ...<task>``, ``Starting execution for stage <N>`` and
``Equivalent Pipeline CLI call: <task>(...)``, and of one that fails, at level SEVERE, ``Error executing pipeline task
<task>.`` with a traceback. SEVERE lines are in the logs of good runs, too. Logs grow large: only their ends are read.

Whoever can write into ``working/`` can put a link in the log's place, and what is read goes into mails and task logs:
a log is opened by :mod:`srdp.domain.files.shared_files`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from srdp.domain.files.shared_files import CASA_LOG, open_shared
from srdp.domain.files.shared_folders import list_shared, look_at
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.runs.pipeline_run import RunDirectory

# The name that CASA makes up, or casa.log where a site's configuration says so. Not casa_commands.log.
_LOG_NAME = re.compile(r"casa(-\d{8}-\d{6})?\.log", re.ASCII)
_TAIL_BYTES = 64 * 1024
# A stage may log a lot before it fails: what is looked through for its beginning, from the log's end.
_STAGE_BYTES = (1 << 20, 1 << 26)
_LONGEST_LINE = 400
_MOST_ERROR_LINES = 30
_LINE = re.compile(r"(?P<time>[^\t]*)\t(?P<level>[A-Z]+)\t(?P<origin>[^\t]*)\t(?P<message>.*)")
_STAGE = re.compile(
    r"Executing command \.\.\. ?(?P<announced>[A-Za-z]\w{0,99})"
    r"|Starting execution for stage (?P<number>\d{1,6})\s*"
    r"|Equivalent (?:Pipeline CLI|CASA) call: (?P<called>[A-Za-z]\w{0,99})\(.*",
    re.ASCII,
)
_ERROR = "Error executing pipeline task "


@dataclass(frozen=True)
class RunningStage:
    """A stage that CASA's log names.

    Attributes:
        task: the pipeline task; empty if the log does not name it.
        number: its number in the log and in the weblog, from 1; None if the log does not say.
    """

    task: str
    number: int | None


class StageFollower:
    """Finds the stage that runs, in a log that is read piece by piece.

    Attributes:
        stage: the stage that runs, as far as the log was read; None before the first.
    """

    def __init__(self) -> None:
        self.stage: RunningStage | None = None
        self._unfinished = ""

    def feed(self, text: str) -> None:
        """Take the next piece of the log; a line that is not whole yet counts when the rest of it has come."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        self._unfinished = self._unfinished[-_LONGEST_LINE:]
        for line in lines:
            fields = _LINE.match(line)
            matched = fields and _STAGE.fullmatch(fields["message"])
            if matched:
                self._follow(matched)

    def _follow(self, matched: re.Match[str]) -> None:
        if matched["announced"]:
            # Its number is stated in the next line; what was read before may be a piece from the middle.
            number = self.stage.number + 1 if self.stage and self.stage.number else None
            self.stage = RunningStage(matched["announced"], number)
        elif matched["number"]:
            number = int(matched["number"])
            announced = self.stage is not None and self.stage.number in {None, number}
            self.stage = RunningStage(self.stage.task if self.stage and announced else "", number)
        elif self.stage:
            self.stage = replace(self.stage, task=matched["called"])


def find_casa_log(directory: RunDirectory) -> Path | None:
    """Return the log that CASA wrote last in a run's directory, or ``None`` if there is none yet.

    A link, a pipe or a folder of such a name is returned only if there is no file: reading it reports what it is.

    Args:
        directory: the run's directory, at its present place.

    Raises:
        UnsafeFile: ``working/`` is a symbolic link.
        LocalFilesError: it cannot be looked into.
    """
    found = []
    for path in list_shared(directory.root, directory.working, "casa*.log"):
        facts = look_at(directory.root, path) if _LOG_NAME.fullmatch(path.name) else None
        if facts is not None:
            found.append((stat.S_ISREG(facts.st_mode), facts.st_mtime_ns, path))
    return max(found)[-1] if found else None


def read_on(root: Path, log: Path, offset: int | None, limit: int = _TAIL_BYTES) -> tuple[str, int]:
    """Return what was added to a log since the last time, and where to read on.

    Args:
        root: the folder that is trusted: the run's directory.
        log: the log, below it.
        offset: where the last reading ended, in bytes; ``None`` for the first, which begins ``limit`` before the end.
        limit: how much is read at most, in bytes; what is before it is left out.

    Raises:
        FileNotFoundError: it is not there.
        UnsafeFile: it is no regular file, or behind a symbolic link.
        LocalFilesError: it cannot be read.
    """
    with open_shared(root, log, CASA_LOG) as file:
        size = file.identity.size
        begin = max(0, size - limit)
        if offset is not None and begin < offset <= size:
            begin = offset
        content = file.read_at(begin, limit)
    return content.decode("utf-8", "replace"), begin + len(content)


def printable_lines(text: str) -> list[str]:
    """Return the lines of a log that are not blank, safe for another log, a mail or a page.

    Control characters and what else cannot be printed become ``?``; long lines are cut.
    """
    return [_printable(line) for line in full_lines(text)]


def full_lines(text: str) -> list[str]:
    """Return the lines of a log that are not blank, as they are."""
    return [line for line in text.splitlines() if line.strip()]


def _printable(line: str) -> str:
    # What is cut off need not be looked at; a tab becomes four blanks at most.
    shown = line[: _LONGEST_LINE + 1].expandtabs(4)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else "?" for c in shown)
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]} ..."


def tail_of_log(root: Path, log: Path, lines: int) -> tuple[str, ...]:
    """Return the last lines of a log, made printable; of a log that is not there, none.

    Args:
        root: the folder that is trusted.
        log: the log, below it.
        lines: how many lines at most; fewer if they are very long.

    Returns:
        In the place of the lines the one sentence that says why, if the log is not what may be opened.

    Raises:
        LocalFilesError: it cannot be read.
    """
    try:
        text, _ = read_on(root, log, None)
    except FileNotFoundError:
        return ()
    except UnsafeFile as error:
        return (str(error),)
    return tuple(printable_lines(text)[-lines:])


def running_stage(root: Path, log: Path) -> RunningStage | None:
    """Return the stage that runs, or that ran last; None if none has begun.

    Args:
        root: the folder that is trusted.
        log: CASA's log, below it.

    Raises:
        FileNotFoundError: see :func:`read_on`.
        UnsafeFile: likewise.
        LocalFilesError: likewise.
    """
    for limit in _STAGE_BYTES:
        follower = StageFollower()
        follower.feed(read_on(root, log, None, limit)[0])
        # One that began before the piece that was read is not known by its name alone.
        if follower.stage and follower.stage.task and follower.stage.number:
            break
    return follower.stage


def pipeline_error(root: Path, log: Path) -> tuple[str, ...]:
    """Return what the pipeline says of the stage in which it stopped, made printable; none if it did not stop in one.

    The first line is ``Error executing pipeline task <task>.``, the last names the Python exception. An error behind
    which another stage began did not stop the pipeline.

    Args:
        root: the folder that is trusted.
        log: CASA's log, below it.

    Raises:
        FileNotFoundError: see :func:`read_on`.
        UnsafeFile: likewise.
        LocalFilesError: likewise.
    """
    text, _ = read_on(root, log, None, _STAGE_BYTES[0])
    lines = [fields for fields in map(_LINE.match, text.split("\n")) if fields]
    begun = next((place for place in range(len(lines) - 1, -1, -1) if _ends_the_search(lines[place])), None)
    if begun is None or not _is_error(lines[begun]):
        return ()
    severe = [fields["message"] for fields in takewhile(lambda fields: fields["level"] == "SEVERE", lines[begun:])]
    shown = severe if len(severe) <= _MOST_ERROR_LINES else [severe[0], "...", *severe[-_MOST_ERROR_LINES:]]
    return tuple(printable_lines("\n".join(shown)))


@dataclass(frozen=True)
class EndOfLog:
    """What CASA's log says of its end; each line is printable.

    Attributes:
        log: the log; None if there is none.
        stage: the stage that ran last; None if none has begun.
        error: the pipeline's error, from its first line to the exception; none if no stage failed.
        tail: its last lines, or the one sentence that says why it was not opened.
    """

    log: Path | None = None
    stage: RunningStage | None = None
    error: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()


def end_of_log(directory: RunDirectory, lines: int) -> EndOfLog:
    """Return what a run's log says of the end of CASA.

    Args:
        directory: the run's directory, at its present place.
        lines: how many of its last lines at most.

    Raises:
        LocalFilesError: it cannot be read.
    """
    root, log = directory.root, None
    try:
        log = find_casa_log(directory)
        if log is None:
            return EndOfLog()
        return EndOfLog(log, running_stage(root, log), pipeline_error(root, log), tail_of_log(root, log, lines))
    except UnsafeFile as error:
        return EndOfLog(log, tail=(str(error),))
    except FileNotFoundError:
        return EndOfLog()


def _is_error(fields: re.Match[str]) -> bool:
    return fields["level"] == "SEVERE" and fields["message"].startswith(_ERROR)


def _ends_the_search(fields: re.Match[str]) -> bool:
    stage = _STAGE.fullmatch(fields["message"])
    return _is_error(fields) or (stage is not None and stage["number"] is not None)


def describe_stage(stage: RunningStage | None, commands: Sequence[str]) -> str:
    """Return a stage with its place, for example ``hifv_checkflag (stage 8 of 20, its 2nd of 3 occurrences)``.

    Args:
        stage: the stage, from :func:`running_stage`.
        commands: the PPR's commands. The pipeline may leave out some of them, which then have no number.
    """
    if stage is None:
        return "before the first stage"
    name = stage.task or "name not known"
    if stage.number is None:
        return name
    # What was left out moves a command's place behind its number, never before it.
    places = [place for place, command in enumerate(commands, start=1) if command == stage.task]
    place = next((place for place in places if place >= stage.number), None)
    if place is None:
        return f"{name} (stage {stage.number})"
    of = f"stage {stage.number} of {len(commands)}"
    if place != stage.number:
        of = f"stage {stage.number}, command {place} of {len(commands)} in the PPR"
    occurrence = f", its {_ordinal(places.index(place) + 1)} of {len(places)} occurrences" if len(places) > 1 else ""
    return f"{name} ({of}{occurrence})"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in {11, 12, 13} else "th"
    return f"{number}{ending}"
