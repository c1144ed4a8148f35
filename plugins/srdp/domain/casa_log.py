"""CASA's log: where it is, its last lines, the stage that it tells of. Logs grow large: only their ends are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from srdp.domain.pipeline_run import RunDirectory

# casa.log, or the name that CASA makes up when its configuration names none. Not casa_commands.log.
_LOG_NAME = re.compile(r"casa(-\d{8}-\d{6})?\.log", re.ASCII)
_TAIL_BYTES = 64 * 1024
_LONGEST_LINE = 400


def find_casa_log(directory: RunDirectory) -> Path | None:
    """Returns the log that CASA wrote last in a run's directory, or ``None`` if there is none yet."""
    logs = [path for path in directory.working.glob("casa*.log") if _LOG_NAME.fullmatch(path.name) and path.is_file()]
    return max(logs, key=lambda path: path.stat().st_mtime_ns, default=None)


def read_on(path: Path, offset: int | None, limit: int = _TAIL_BYTES) -> tuple[str, int]:
    """Returns what was added to a log since the last time, and where to read on.

    Args:
        path: the log.
        offset: where the last reading ended, in bytes; ``None`` for the first, which begins ``limit`` before the end.
        limit: how much is read at most, in bytes; what lies before it is left out.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        begin = max(0, size - limit)
        if offset is not None and begin < offset <= size:
            begin = offset
        stream.seek(begin)
        content = stream.read(limit)
    return content.decode("utf-8", "replace"), begin + len(content)


def printable_lines(text: str) -> list[str]:
    """Returns the lines of a log that are not blank, as they may stand in another log, a mail or a page.

    Control characters and what else cannot be printed become ``?``; long lines are cut.
    """
    lines = ("".join(c if c.isprintable() else "?" for c in line.expandtabs(4)) for line in text.splitlines())
    return [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..." for line in lines if line.strip()]


def tail_of_log(path: Path, lines: int) -> tuple[str, ...]:
    """Returns the last lines of a log, made printable; of a log that is not there, none.

    Args:
        path: the log.
        lines: how many lines at most; fewer if they are very long.
    """
    try:
        text, _ = read_on(path, None)
    except FileNotFoundError:
        return ()
    return tuple(printable_lines(text)[-lines:])


def stage_in_log(text: str, commands: Sequence[str]) -> str | None:
    """Returns the stage that a piece of CASA's log is about: the command of the PPR that it mentions last.

    The pipeline names each task in its log when it begins. Which words it puts around it differs from release to
    release, so that nothing but the name itself is looked for.

    Args:
        text: a piece of the log.
        commands: the PPR's commands.
    """
    if not commands:
        return None
    names = "|".join(re.escape(name) for name in sorted(set(commands), key=len, reverse=True))
    # Not as a part of a file's name: later stages mention the tables of earlier ones.
    found = re.findall(rf"(?<![A-Za-z0-9_.])(?:{names})(?![A-Za-z0-9_]|\.[A-Za-z0-9_])", text)
    return found[-1] if found else None


def describe_stage(stage: str | None, commands: Sequence[str]) -> str:
    """Returns a stage with its place among the PPR's stages, for example ``hifv_priorcals (stage 5 of 20)``.

    Args:
        stage: the stage, from :func:`stage_in_log`.
        commands: the PPR's commands.
    """
    if stage is None:
        return "before the first stage"
    places = [number for number, command in enumerate(commands, start=1) if command == stage]
    return f"{stage} (stage {' or '.join(str(place) for place in places)} of {len(commands)})" if places else stage
