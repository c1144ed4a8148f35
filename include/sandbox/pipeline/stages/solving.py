"""Solving for calibration tables, and applying them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sandbox.pipeline.context import Calibration, Context
from sandbox.pipeline.observation import Field, names
from sandbox.pipeline.tables import open_table

# What a calibration corrects, in the order in which CASA is given the tables.
_PRIORS = ("antenna positions", "gain curve")
_ORDER = (*_PRIORS, "bandpass", "phase", "amplitude")
_SMALLEST_SIGNAL_TO_NOISE = 3.0


class NoSolutionsError(Exception):
    """CASA found no solution at all: it says so in its log only, and makes no table."""


def solve_bandpass(context: Context, name: str) -> Calibration:
    """Solves for the bandpass, after the phases of the bandpass calibrator have been taken out.

    Args:
        context: the run; the bandpass becomes the one that holds now.
        name: begins the names of the two tables.
    """
    fields = context.observation.bandpass_calibrators
    phases = context.table_name(f"{name}initialgain")
    _gaincal(context, phases, fields, solint="int", calmode="p", kinds=_PRIORS)
    table = context.table_name(name)
    tables = [*_tables(context, _PRIORS), phases]
    context.casa(
        "bandpass",
        vis=context.vis,
        caltable=table,
        field=names(fields),
        refant=context.reference_antenna,
        solint="inf",
        combine="scan",
        gaintable=tables,
    )
    _require(table)
    context.calibration["bandpass"] = Calibration(table)
    return context.calibration["bandpass"]


def solve_gains(context: Context, name: str) -> None:
    """Solves for the phases of each integration and the gains of each scan, on all calibrators.

    Args:
        context: the run; the gains become those that hold now.
        name: begins the names of the two tables.
    """
    phases, gains = context.table_name(f"{name}phase"), context.table_name(f"{name}amplitude")
    for position, field in enumerate(context.observation.calibrators):
        first = position == 0
        _gaincal(context, phases, (field,), solint="int", calmode="p", kinds=(*_PRIORS, "bandpass"), new=first)
    context.calibration["phase"] = Calibration(phases, per_field=True)
    for position, field in enumerate(context.observation.calibrators):
        first = position == 0
        kinds = (*_PRIORS, "bandpass", "phase")
        _gaincal(context, gains, (field,), solint="inf", calmode="ap", kinds=kinds, new=first)
    context.calibration["amplitude"] = Calibration(gains, per_field=True)


def apply_calibration(
    context: Context, fields: Sequence[Field], *, gains_from: Field | None = None, flag_unsolved: bool
) -> dict[str, object]:
    """Apply the calibration that holds now.

    Args:
        context: the run.
        fields: where to apply it.
        gains_from: the field whose gains are interpolated in time; each field's own if not given.
        flag_unsolved: flag data without a solution; else such data stay uncorrected.

    Returns:
        The arguments of the call of ``applycal``.
    """
    kinds = [kind for kind in _ORDER if kind in context.calibration]
    source = names((gains_from,)) if gains_from else names(tuple(fields))
    per_field = [context.calibration[kind].per_field for kind in kinds]
    interpolation = "linear" if gains_from else "nearest"
    arguments: dict[str, object] = {
        "vis": context.vis,
        "field": names(tuple(fields)),
        "gaintable": _tables(context, kinds),
        "gainfield": [source if own else "" for own in per_field],
        "interp": [interpolation if own else "" for own in per_field],
        "calwt": False,
        "applymode": "calflag" if flag_unsolved else "calonly",
        "flagbackup": False,
    }
    context.casa("applycal", **arguments)
    return arguments


def unsolved_part(table: str) -> float:
    """Return which part of a table's solutions is flagged, from 0 to 1."""
    with open_table(table) as solutions:
        return float(solutions.getcol("FLAG").mean())


def _gaincal(
    context: Context,
    table: str,
    fields: Sequence[Field],
    *,
    solint: str,
    calmode: str,
    kinds: Sequence[str],
    new: bool = True,
) -> None:
    present = [kind for kind in kinds if kind in context.calibration]
    context.casa(
        "gaincal",
        vis=context.vis,
        caltable=table,
        field=names(tuple(fields)),
        spw=context.observation.inner_channels,
        solint=solint,
        refant=context.reference_antenna,
        calmode=calmode,
        minsnr=_SMALLEST_SIGNAL_TO_NOISE,
        gaintable=_tables(context, present),
        gainfield=[names(tuple(fields)) if context.calibration[kind].per_field else "" for kind in present],
        append=not new,
    )
    _require(table)


def _tables(context: Context, kinds: Sequence[str]) -> list[str]:
    return [context.calibration[kind].table for kind in kinds if kind in context.calibration]


def _require(table: str) -> None:
    if not Path(table).is_dir():
        raise NoSolutionsError(f"No solution was found for {table}: CASA's log says why.")
