"""The targets' data: split from the calibrators', flagged, and without their continuum."""

from __future__ import annotations

from pathlib import Path

from sandbox.pipeline import figures
from sandbox.pipeline.cont_file import FILE_NAME, Continuum, read_cont_file, selection
from sandbox.pipeline.context import Context, StageOrderError
from sandbox.pipeline.frequencies import continuum_channels
from sandbox.pipeline.observation import Observation, read_observation
from sandbox.pipeline.results import Figure, Score, StageResult, Table, falling
from sandbox.pipeline.stages.flagging import commands_in, flagged_parts
from sandbox.pipeline.tables import open_table
from sandbox.pipeline.targets import Targets

_TEMPLATE = """\
# Flags for the targets of this execution block, one command a line:
# mode='manual' antenna='DA41' spw='0' reason='why'
"""
_NOT_FITTED = "NONE"


def hif_mstransform(context: Context, /) -> StageResult:
    """Split the calibrated data of the targets into measurement sets of their own: ``<ASDM>_targets.ms``.

    Args:
        context: the run.
    """
    rows = []
    for sdm in context.request.sdms:
        root = sdm.removesuffix(".ms")
        vis, targets = f"{root}.ms", f"{root}_targets.ms"
        _require_calibrated(vis)
        # Fields and spectral windows keep their numbers, which PPRs and cont.dat name.
        context.casa(
            "mstransform",
            vis=vis,
            outputvis=targets,
            intent="*OBSERVE_TARGET*",
            datacolumn="corrected",
            reindex=False,
        )
        observation = context.targets.observations[targets] = read_observation(targets)
        template = flag_template(targets)
        if not template.exists():
            template.write_text(_TEMPLATE, encoding="utf-8")
        with open_table(targets) as table:
            rows.append((targets, ", ".join(field.name for field in observation.targets), f"{table.nrows():,}"))
    with open_table(f"{vis}/ANTENNA") as table:
        context.targets.dish = float(min(table.getcol("DISH_DIAMETER")))
    return StageResult(
        score=lambda: Score(1.0, f"Targets whose calibrated data were split: {len(context.targets.fields)}."),
        tables=(Table("Measurement sets", ("Name", "Targets", "Rows"), rows),),
    )


def hifa_flagtargets(context: Context, /) -> StageResult:
    """Flag the targets' data by the templates that analysts may have edited.

    Args:
        context: the run.
    """
    rows: list[tuple[str, ...]] = []
    drawn: list[Figure] = []
    added = []
    for targets in observed_targets(context).observations:
        template = flag_template(targets)
        before, commands = flagged_parts(context, targets).total, commands_in(template)
        if commands:
            context.casa("flagdata", vis=targets, mode="list", inpfile=str(template), flagbackup=False)
        parts = flagged_parts(context, targets)
        added.append(parts.total - before)
        rows.append((targets, str(template), str(commands), f"{before:.2%}", f"{parts.total:.2%}"))
        drawn.append(
            context.figure(
                f"flagged_{len(drawn)}.png",
                f"{targets}: flagged part of each antenna's data.",
                figures.flagged_by_antenna(parts.by_antenna),
            )
        )
    most = max(added)
    return StageResult(
        score=lambda: Score(
            falling(most, good=0.25, bad=0.75), f"{most:.1%} of the targets' data were flagged on top."
        ),
        tables=(Table("Flagged", ("Name", "Template", "Commands", "Before", "After"), rows),),
        figures=tuple(drawn),
    )


def hif_uvcontsub(context: Context, /, *, field: object = "", fitorder: int = 1) -> StageResult:
    """Subtracts the continuum that ``cont.dat`` names: ``<ASDM>_targets_line.ms``.

    Args:
        context: the run.
        field: the targets, with commas between; all if empty. Cubes of others have their continuum.
        fitorder: order of the polynomial that is fitted to the continuum.
    """
    targets = observed_targets(context)
    wanted = targets.choose_fields(field)
    continuum = {key: ranges for key, ranges in read_cont_file(Path(FILE_NAME)).items() if key[0] in wanted}
    rows, missing = [], []
    for vis, observation in targets.observations.items():
        line = vis.replace("_targets.ms", "_targets_line.ms")
        chosen = continuum_selections(observation, continuum)
        rows += [(vis, name, str(window), chans or "none") for (name, window), chans in chosen.items()]
        missing += [f"{name}, spw {window}" for (name, window), chans in chosen.items() if not chans and name in wanted]
        context.casa("uvcontsub", vis=vis, outputvis=line, fitspec=_fit(observation, chosen, fitorder))
        targets.line[vis] = line
    note = f"No continuum is known of {'; '.join(missing)}: nothing was subtracted there."
    return StageResult(
        score=lambda: Score(0.3, note) if missing else Score(1.0, "The continuum of all targets was subtracted."),
        tables=(Table("Continuum", ("Name", "Field", "Spectral window", "Channels"), rows),),
    )


def observed_targets(context: Context) -> Targets:
    """Return the targets' data.

    Raises:
        StageOrderError: they were not split.
    """
    if not context.targets.observations:
        raise StageOrderError(
            "The targets have no data of their own: the PPR names no hif_mstransform before this stage."
        )
    return context.targets


def flag_template(targets: str) -> Path:
    """Return the file of flag commands for a measurement set of targets.

    Args:
        targets: the measurement set's name.

    Returns:
        ``<ASDM>_targets.flagtargetstemplate.txt``; or the name that older pipelines know it by, if only that is there.
    """
    newer = Path(f"{targets.removesuffix('.ms')}.flagtargetstemplate.txt")
    older = Path(f"{targets.removesuffix('_targets.ms')}.flagtargetstemplate.txt")
    return older if older.exists() and not newer.exists() else newer


def continuum_selections(observation: Observation, continuum: Continuum) -> dict[tuple[str, int], str]:
    """Return the channels of each target and spectral window that hold continuum, as CASA's selections.

    Args:
        observation: a measurement set of targets.
        continuum: the ranges of ``cont.dat``.

    Returns:
        Selections without the window, such as ``0~5;18~23``; empty where there is no continuum or none is known.
    """
    return {
        (field, window.number): selection(
            continuum_channels(observation, field, window.number, continuum.get((field, window.number), ()))
        )
        for field in dict.fromkeys(target.name for target in observation.targets)
        for window in observation.spectral_windows
    }


def _require_calibrated(vis: str) -> None:
    if not Path(vis).is_dir():
        raise StageOrderError(
            f"There is no {vis}: the PPR names no hifa_restoredata or hifa_importdata before this stage."
        )
    with open_table(vis) as table:
        if "CORRECTED_DATA" not in table.colnames():
            raise StageOrderError(
                f"{vis} holds no calibrated data: the PPR must name hifa_restoredata before this stage."
            )


def _fit(observation: Observation, chosen: dict[tuple[str, int], str], order: int) -> dict[str, object]:
    fit: dict[str, object] = {}
    for field in observation.targets:
        # Of a field that is named, a window that is not is left as it is; a field that is not named would be fitted.
        fit[str(field.number)] = {
            str(window): {"chan": channels, "fitorder": order}
            for (name, window), channels in chosen.items()
            if name == field.name and channels
        } or _NOT_FITTED
    return fit
