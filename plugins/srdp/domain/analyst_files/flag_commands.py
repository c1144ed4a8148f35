"""The linter of ``flagtemplate.txt`` and ``flagtargetstemplate.txt``: flag commands of an analyst, one a line.

CASA takes such a line apart at its blanks and equals signs and aborts the whole task on a key or a type that it does
not know. Other mistakes it passes over: of a key that is there twice the last wins, an unknown mode flags nothing, a
parameter of another mode has no effect. A line that would not do what it says is refused here either way.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from srdp.domain.analyst_files.flag_line import FlagLine
from srdp.domain.analyst_files.flag_templates import VLA_FLAGS, FlagTemplate
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.common.lint import Report, numbered_lines, read_text


def lint_flag_commands(
    content: bytes,
    *,
    file: str | None = None,
    observed: Observed | None = None,
    template: FlagTemplate = VLA_FLAGS,
) -> Report:
    """Lints a file of flag commands.

    Args:
        content: the file's bytes.
        file: what the person calls the file, a name or a path; the name that the pipeline reads if it is not given.
        observed: the observation that is flagged; what is None or empty in it is not compared.
        template: which file the pipeline reads.

    Returns:
        Everything that was found; a file without any command has a warning.
    """
    file = template.name if file is None else file
    text, notes = read_text(content, file)
    if template.passes_over(file):
        notes.error(1, 1, PurePosixPath(file).name, template.unread_problem, template.unread_fix)
    if text is None:
        return notes.report()
    commands = 0
    for number, line in numbered_lines(text):
        # A carriage return ends a line for CASA: what comes behind it is a command.
        if line.strip(" \t") and (not line.strip(" \t").startswith("#") or "\r" in line):
            FlagLine(notes, number, line, observed or Observed(), template, first=not commands).lint()
            commands += 1
    if not commands:
        notes.warn(1, 1, PurePosixPath(file).name, "holds no command", "add one, or leave the file out")
    return notes.report()
