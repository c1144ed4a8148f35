"""Runs in CASA's own Python: asks it what it makes of flag commands and of selections, all in one process.

    python flag_commands_in_casa.py QUESTIONS.json ANSWERS.json

QUESTIONS.json holds ``lines``, flag commands for ``flagdata`` in list mode; ``selections``, pairs of a key and a text
for MSSelection; and ``names``, names of fields, with ``by_name``, selections of them. ANSWERS.json has the same keys:

* of a line ``{"wrong": ..., "flagged": ...}``: what stopped it, or null, and how many points it flags;
* of a selection null if it selects nothing, else what it selects: ``rows``, ``baselines``, ``fields``, ``scans``,
  ``windows``, ``times``, and ``channels`` as (window, first, last, step);
* of a selection by name the names that it selects, or null.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import selection_set
from casatasks import casalog, flagdata
from casatools import ms

_VIS, _NAMED_VIS = "observation.ms", "named.ms"
_NOT_DONE = ("Cannot create agent", "Failed to parse", "will be ignored", "no agent to run")
_AT_ONCE = 30


def main(questions_file: str, answers_file: str) -> None:
    """Write what CASA made of each question."""
    asked = json.loads(Path(questions_file).read_text(encoding="utf-8"))
    selection_set.make(_VIS)
    answers: dict[str, Any] = {"lines": _of_lines(asked.get("lines", [])), "selections": [], "by_name": []}
    tool = ms()
    tool.open(_VIS)
    answers["selections"] = [_selected(tool, key, text) for key, text in asked.get("selections", [])]
    tool.close()
    if names := asked.get("names"):
        selection_set.make(_NAMED_VIS, names)
        tool.open(_NAMED_VIS)
        answers["by_name"] = [_named(tool, names, text) for text in asked["by_name"]]
        tool.close()
    Path(answers_file).write_text(json.dumps(answers), encoding="utf-8")


def _of_lines(lines: list[str]) -> list[dict[str, Any]]:
    """Asks for many lines at once, and for each alone if CASA does not take all of them."""
    answers: list[dict[str, Any]] = []
    for begin in range(0, len(lines), _AT_ONCE):
        some = lines[begin : begin + _AT_ONCE]
        wrong, flagged = _run(some)
        if wrong is None and len(flagged) == len(some):
            answers += [{"wrong": None, "flagged": each} for each in flagged]
            continue
        for line in some:
            wrong, flagged = _run([line])
            if wrong and "additional modes" in wrong:  # it may be asked for no summary then
                wrong, flagged = _run([line], with_summary=False)
            answers.append({"wrong": wrong, "flagged": flagged[0] if flagged else 0})
    return answers


def _run(lines: list[str], *, with_summary: bool = True) -> tuple[str | None, list[int]]:
    commands, log = Path("flagtemplate.txt"), Path("flagdata.log")
    behind = ("mode='summary' name='asked'", "mode='unflag'") if with_summary else ()
    asked = [part for line in lines for part in (line, *behind)]
    commands.write_text("".join(f"{part}\n" for part in asked), encoding="utf-8")
    log.unlink(missing_ok=True)
    casalog.setlogfile(str(log))
    try:
        found = flagdata(vis=_VIS, mode="list", inpfile=str(commands), action="calculate", flagbackup=False)
    except Exception as error:  # noqa: BLE001  each of them stops the pipeline's stage
        return f"{type(error).__name__}: {error}", []
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    complaints = [text for text in said if any(word in text for word in _NOT_DONE)]
    found = found or {}
    reports = (
        [found]
        if found.get("type") == "summary"
        else [found[key] for key in sorted(found, key=_number) if isinstance(found[key], dict)]
    )
    flagged = [int(report["flagged"]) for report in reports if report.get("name") == "asked"]
    return (complaints[0] if complaints else None), flagged


def _number(report: str) -> int:
    return int(report.removeprefix("report")) if report.startswith("report") else -1


def _selected(tool: Any, key: str, text: str) -> dict[str, Any] | None:
    try:
        tool.reset()
        if not tool.msselect({key: text}, False) or not tool.nrow(True):
            return None
        channels = tool.msselectedindices()["channel"].tolist()
        columns = tool.getdata(["antenna1", "antenna2", "field_id", "scan_number", "data_desc_id", "time"])
    except RuntimeError:
        return None
    pairs = zip(columns["antenna1"].tolist(), columns["antenna2"].tolist(), strict=True)
    return {
        "rows": len(columns["time"]),
        "baselines": sorted({*pairs}),
        "fields": sorted({*columns["field_id"].tolist()}),
        "scans": sorted({*columns["scan_number"].tolist()}),
        "windows": sorted({*columns["data_desc_id"].tolist()}),
        "times": len({*columns["time"].tolist()}),
        "channels": channels,
    }


def _named(tool: Any, names: list[str], text: str) -> list[str] | None:
    try:
        tool.reset()
        tool.msselect({"field": text}, True)
        return [names[number] for number in tool.msselectedindices()["field"].tolist()]
    except (RuntimeError, UnicodeDecodeError):
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
