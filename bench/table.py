"""The table in ``docs/benchmarks.md``: a line for each figure, replaced when it is taken again."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.frame import Result

_HEADS: Mapping[str, str] = {
    "figures": "| figure | ours | against | ratio | goal | | taken |\n|---|---|---|---|---|---|---|\n",
    "raw": "| figure | ours, round by round | the rival's |\n|---|---|---|\n",
}


def summary(result: Result, taken: str) -> str:
    """Return a figure's line.

    Args:
        result: its values.
        taken: when, and from which commit.
    """
    figure = result.figure
    limit = f"≤ {figure.goal:g}" if result.rival else f"≤ {figure.goal:g} {figure.unit}"
    rival = f"{figure.against}: {_spread(result.rival)} {figure.unit}" if result.rival else figure.against or "a number"
    ratio = _spread(result.judged) if result.rival else ""
    met = "met" if result.is_met else "**missed**"
    return (
        f"| `{figure.name}` {figure.what} | {_spread(result.ours)} {figure.unit} | {rival} | {ratio} | {limit} | {met} "
        f"| {taken}, load {result.load:.1f}, {_rounds(len(result.ours))} |\n"
    )


def _rounds(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"


def raw(result: Result) -> str:
    """Return a figure's values, round by round."""
    ours, rival = (" ".join(f"{value:.3f}" for value in values) for values in (result.ours, result.rival))
    return f"| `{result.figure.name}` | {ours} | {rival} |\n"


def updated(page: str, results: Iterable[Result], *, taken: str, machine: str, order: Iterable[str] = ()) -> str:
    """Return the page with new lines for the figures that were taken.

    Args:
        page: the page; what is generated stands between markers.
        results: what was taken.
        taken: when, and from which commit.
        machine: what it was taken on.
        order: the names of all figures that there are; a line of another one is removed.
    """
    results, order = list(results), list(order)
    page = _replaced(page, "machine", f"{machine}\n")
    new = {
        "figures": {result.figure.name: summary(result, taken) for result in results},
        "raw": {result.figure.name: raw(result) for result in results},
    }
    for part, head in _HEADS.items():
        lines = {name: line for name, line in _lines(_between(page, part)).items() if name in order} | new[part]
        ordered = sorted(lines, key=lambda name: order.index(name) if name in order else len(order))
        page = _replaced(page, part, head + "".join(lines[name] for name in ordered))
    return page


def write(path: Path, results: Iterable[Result], *, taken: str, machine: str, order: Iterable[str]) -> None:
    """Write new lines into the page; see :func:`updated`."""
    page = path.read_text(encoding="utf-8")
    path.write_text(updated(page, results, taken=taken, machine=machine, order=order), encoding="utf-8")


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _lines(part: str) -> dict[str, str]:
    return {line.split("`")[1]: f"{line}\n" for line in part.splitlines() if line.startswith("| `")}


def _markers(part: str) -> tuple[str, str]:
    return f"<!-- {part}: written by python -m bench -->\n", f"<!-- {part}: end -->\n"


def _between(page: str, part: str) -> str:
    begin, end = _markers(part)
    return page.partition(begin)[2].partition(end)[0]


def _replaced(page: str, part: str, content: str) -> str:
    begin, end = _markers(part)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"The page has no markers for {part}.")
    return f"{before}{begin}{content}{end}{after}"
