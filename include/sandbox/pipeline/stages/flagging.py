"""Flags: those that are known beforehand, and those that the data ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.pipeline import figures
from sandbox.pipeline.cont_file import FILE_NAME, read_cont_file, selection
from sandbox.pipeline.context import Context
from sandbox.pipeline.frequencies import continuum_channels
from sandbox.pipeline.observation import Field, names
from sandbox.pipeline.results import Score, StageResult, Table, falling

_DEFAULT_TEMPLATE = """\
# Flags for this execution block, one command a line: mode='manual' antenna='ea01' spw='0' reason='why'
mode='manual' autocorr=True
"""


@dataclass(frozen=True)
class FlaggedParts:
    """Which part of the data is flagged, from 0 to 1."""

    total: float
    by_field: Mapping[str, float]
    by_antenna: Mapping[str, float]


def flagged_parts(context: Context, vis: str = "") -> FlaggedParts:
    """Return which part of a measurement set is flagged now.

    Args:
        context: the run.
        vis: the measurement set; the run's own if not given.
    """
    import casatasks  # a look at the data, which nobody has to repeat: not written to the list of commands

    summary: Mapping[str, Any] = casatasks.flagdata(vis=vis or context.vis, mode="summary")
    return FlaggedParts(
        total=_part(summary),
        by_field={name: _part(entry) for name, entry in summary["field"].items()},
        by_antenna={name: _part(entry) for name, entry in summary["antenna"].items()},
    )


def hifv_flagdata(
    context: Context,
    /,
    *,
    hm_tbuff: str = "1.5int",
    fracspw: float = 0.01,
    online: bool = True,
    template: bool = True,
    autocorr: bool = True,
    shadow: bool = True,
    clip: bool = True,
    quack: bool = True,
    edgespw: bool = True,
) -> StageResult:
    """Set the flags that are known without a look at the calibrated data.

    Args:
        context: the run.
        hm_tbuff: how far online flags are widened at their beginning: ``1int`` or ``1.5int`` (integrations).
        fracspw: the part of a spectral window, at each of its edges, that is flagged.
        online: the flags of the observing system.
        template: those of ``<execution block>.flagtemplate.txt``; the file is written if it is not there.
        autocorr: autocorrelations.
        shadow: antennas that stand in another's shadow.
        clip: visibilities that are exactly zero.
        quack: the beginning of each scan, as long as an integration.
        edgespw: the edges of spectral windows.
    """
    template_file = Path(f"{context.sdm}.flagtemplate.txt")
    if not template_file.exists():
        template_file.write_text(_DEFAULT_TEMPLATE, encoding="utf-8")
    online_file = Path(f"{context.sdm}.flagonline.txt")
    integration = context.observation.integration
    edges = _edges(context, fracspw)
    # Each agent: what it is called, whether it is wanted, and its arguments for CASA's flagdata.
    agents: list[tuple[str, bool, dict[str, object]]] = [
        (
            f"online, {hm_tbuff} wider",
            online and commands_in(online_file) > 0,
            {
                "mode": "list",
                "inpfile": str(online_file),
                "tbuff": [_buffer(hm_tbuff, integration), 0.0],
            },
        ),
        ("template", template and commands_in(template_file) > 0, {"mode": "list", "inpfile": str(template_file)}),
        ("autocorrelations", autocorr, {"mode": "manual", "autocorr": True}),
        ("shadow", shadow, {"mode": "shadow"}),
        ("zeros", clip, {"mode": "clip", "clipzeros": True}),
        ("beginnings of scans", quack, {"mode": "quack", "quackinterval": integration, "quackmode": "beg"}),
        ("edges of spectral windows", edgespw and bool(edges), {"mode": "manual", "spw": edges}),
    ]
    _save_flags(context, "before_hifv_flagdata", "as imported")
    steps = [("as imported", flagged_parts(context).total)]
    for name, wanted, arguments in agents:
        if wanted:
            context.casa("flagdata", vis=context.vis, flagbackup=False, **arguments)
            steps.append((name, flagged_parts(context).total))
    parts = flagged_parts(context)
    _save_flags(context, "after_hifv_flagdata", "flags known beforehand")
    return StageResult(
        score=lambda: Score(falling(parts.total, good=0.25, bad=0.75), f"{parts.total:.1%} of the data are flagged."),
        notes=(f"Flag commands of {template_file}: {commands_in(template_file)}.",),
        tables=(
            Table("Flagged after each step", ("Step", "Flagged"), [(name, f"{part:.2%}") for name, part in steps]),
            _by_field(parts),
        ),
        figures=(
            context.figure(
                "flagged.png", "Flagged part of each antenna's data.", figures.flagged_by_antenna(parts.by_antenna)
            ),
        ),
    )


def hifv_checkflag(context: Context, /, *, checkflagmode: str = "bpd-vla", usecontdat: bool = True) -> StageResult:
    """Flag what stands out in the calibrated data.

    On calibrators only narrow interference is looked for, along frequency. Their scans have too few integrations for
    statistics along time, and an antenna that goes wrong must show in the scores rather than vanish.

    Args:
        context: the run.
        checkflagmode: ``bpd-vla`` (bandpass calibrators), ``allcals-vla`` (all calibrators) or ``target-vla``.
        usecontdat: of targets, only the continuum that ``cont.dat`` names is flagged, if there is such a file.
    """
    observation = context.observation
    # The edges of a spectral window, where its response falls off, would be taken for interference.
    narrow: dict[str, object] = {
        "mode": "tfcrop",
        "flagdimension": "freq",
        "freqcutoff": 5.0,
        "extendflags": False,
        "spw": observation.inner_channels,
    }
    modes: dict[str, tuple[tuple[Field, ...], dict[str, object]]] = {
        "bpd-vla": (observation.bandpass_calibrators, narrow),
        "allcals-vla": (observation.calibrators, narrow),
        "target-vla": (observation.targets, {"mode": "rflag"}),
    }
    if checkflagmode not in modes:
        raise ValueError(f"checkflagmode is {checkflagmode!r}, it must be one of {', '.join(modes)}")
    fields, arguments = modes[checkflagmode]
    before = flagged_parts(context)
    continuum = continuum_of_targets(context) if usecontdat and checkflagmode == "target-vla" else {}
    selected: Mapping[str, dict[str, object]] = (
        {name: {"spw": windows} for name, windows in continuum.items()} if continuum else {names(fields): {}}
    )
    for name, windows in selected.items():
        where = {**arguments, **windows}
        context.casa("flagdata", vis=context.vis, field=name, datacolumn="corrected", flagbackup=False, **where)
    after = flagged_parts(context)
    added = max(after.by_field[field.name] - before.by_field[field.name] for field in fields)
    rows = [(field.name, f"{before.by_field[field.name]:.2%}", f"{after.by_field[field.name]:.2%}") for field in fields]
    return StageResult(
        score=lambda: Score(
            falling(added, good=0.10, bad=0.50), f"At most {added:.1%} of a field's data were flagged on top."
        ),
        tables=(Table("Flagged", ("Field", "Before", "After"), rows),),
    )


def continuum_of_targets(context: Context) -> dict[str, str]:
    """Return CASA's selection of the continuum of each target for which ``cont.dat`` has any; none without the file.

    Args:
        context: the run.
    """
    continuum = read_cont_file(Path(FILE_NAME))
    found: dict[str, list[str]] = {}
    for field, window in continuum:
        if field in {target.name for target in context.observation.targets}:
            channels = continuum_channels(context.observation, field, window, continuum[field, window])
            found.setdefault(field, []).extend([f"{window}:{selection(channels)}"] if channels else [])
    return {field: ",".join(windows) for field, windows in found.items() if windows}


def _buffer(hm_tbuff: str, integration: float) -> float:
    """Return by how many seconds an online flag begins earlier."""
    if not hm_tbuff.endswith("int"):
        raise ValueError(f"hm_tbuff is {hm_tbuff!r}, it must be a number of integrations, such as 1.5int")
    return float(hm_tbuff.removesuffix("int")) * integration


def _edges(context: Context, fraction: float) -> str:
    selections = []
    for window in context.observation.spectral_windows:
        edge = int(fraction * window.channels)
        if edge:
            last = window.channels - 1
            selections.append(f"{window.number}:0~{edge - 1};{last - edge + 1}~{last}")
    return ",".join(selections)


def _save_flags(context: Context, version: str, comment: str) -> None:
    context.casa("flagmanager", vis=context.vis, mode="save", versionname=version, comment=comment)


def _part(entry: Mapping[str, Any]) -> float:
    return float(entry["flagged"]) / float(entry["total"]) if entry["total"] else 0.0


def _by_field(parts: FlaggedParts) -> Table:
    return Table("Flagged", ("Field", "Flagged"), [(name, f"{part:.2%}") for name, part in parts.by_field.items()])


def commands_in(path: Path) -> int:
    """Return how many commands a file of flag commands holds; none if there is no file."""
    if not path.is_file():
        return 0
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)
