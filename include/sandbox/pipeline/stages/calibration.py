"""Bandpass and gains, from the first try to the final tables, and their application."""

from __future__ import annotations

from sandbox.pipeline import figures
from sandbox.pipeline.context import Context, StageOrderError
from sandbox.pipeline.observation import Field, choose_reference_antenna, names
from sandbox.pipeline.results import Figure, Score, StageResult, Table, falling
from sandbox.pipeline.stages.flagging import continuum_of_targets, flagged_parts
from sandbox.pipeline.stages.solving import apply_calibration, solve_bandpass, solve_gains, unsolved_part


def hifv_testbpdcals(context: Context, /) -> StageResult:
    """Chooses the reference antenna and solves for a first bandpass.

    Args:
        context: the run.
    """
    flagged = flagged_parts(context).by_antenna
    context.reference_antenna = choose_reference_antenna(context.observation.antennas, flagged)
    return _bandpass(context, "testBPcal")


def hifv_semifinalbpdcals(context: Context, /) -> StageResult:
    """Solves for the bandpass and the gains again, after the first look for interference.

    Args:
        context: the run.
    """
    result = _bandpass(context, "semiFinalBPcal")
    solve_gains(context, "semiFinal")
    apply_calibration(context, context.observation.calibrators, flag_unsolved=False)
    return result


def hifv_solint(context: Context, /) -> StageResult:
    """Find out whether phases can be solved for each integration.

    Args:
        context: the run.
    """
    observation = context.observation
    numbers = {field.number for field in observation.calibrators}
    lengths = [scan.end - scan.start + observation.integration for scan in observation.scans if scan.field in numbers]
    unsolved = unsolved_part(_held(context, "phase"))
    return StageResult(
        score=lambda: Score(
            falling(unsolved, good=0.25, bad=0.75),
            f"{unsolved:.1%} of the phases of single integrations were not solved for.",
        ),
        tables=(
            Table(
                "Solution intervals",
                ("Interval", "Seconds"),
                [
                    ("short: one integration", f"{observation.integration:.1f}"),
                    ("long: the longest scan of a calibrator", f"{max(lengths):.1f}"),
                ],
            ),
        ),
    )


def hifv_finalcals(context: Context, /) -> StageResult:
    """Solves for the final bandpass and gains.

    Args:
        context: the run.
    """
    bandpass = solve_bandpass(context, "finalBPcal")
    solve_gains(context, "final")
    phase, amplitude = (context.calibration[kind].table for kind in ("phase", "amplitude"))
    parts = {table: unsolved_part(table) for table in (bandpass.table, phase, amplitude)}
    worst = max(parts.values())
    scale_known = all(field.name in context.bootstrapped for field in _without_model(context))
    return StageResult(
        score=lambda: Score(
            falling(worst, good=0.25, bad=0.75) if scale_known else 0.3,
            f"At most {worst:.1%} of a table's solutions are missing."
            if scale_known
            else "The gains are not on the scale of flux density: the PPR names no hifv_fluxboot before this stage.",
        ),
        tables=(_solutions(parts),),
        figures=(
            *_bandpass_figures(context, bandpass.table),
            context.figure("phase.png", "Phases of the gains.", figures.gain_phases(phase, context.observation)),
            context.figure(
                "amplitude.png", "Amplitudes of the gains.", figures.gain_amplitudes(amplitude, context.observation)
            ),
        ),
    )


def hifv_applycals(context: Context, /) -> StageResult:
    """Apply the final calibration: to calibrators their own gains, to targets those of the phase calibrator.

    Args:
        context: the run.
    """
    _held(context, "amplitude")
    before = flagged_parts(context)
    for field in context.observation.calibrators:
        context.applied.append(apply_calibration(context, (field,), flag_unsolved=True))
    if context.observation.targets:
        source = context.observation.phase_calibrators[0]
        context.applied.append(
            apply_calibration(context, context.observation.targets, gains_from=source, flag_unsolved=True)
        )
    after = flagged_parts(context)
    added = after.total - before.total
    rows = [(name, f"{before.by_field[name]:.2%}", f"{part:.2%}") for name, part in after.by_field.items()]
    return StageResult(
        score=lambda: Score(
            falling(added, good=0.05, bad=0.50), f"{added:.1%} of the data were flagged because they have no solution."
        ),
        tables=(Table("Flagged", ("Field", "Before", "After"), rows),),
    )


def hifv_statwt(context: Context, /) -> StageResult:
    """Weights the targets' visibilities by their scatter, in the continuum if ``cont.dat`` names one.

    Args:
        context: the run.
    """
    targets = context.observation.targets
    arguments: dict[str, object] = {
        "vis": context.vis,
        "field": names(targets),
        "datacolumn": "corrected",
        "timebin": "300s",
        "minsamp": 8,
    }
    continuum = continuum_of_targets(context)
    calls = [{**arguments, "field": name, "fitspw": windows} for name, windows in continuum.items()] or [arguments]
    for call in calls:
        answer = context.casa("statwt", **call)
        context.weighted.append(call)
    mean, variance = float(answer["mean"]), float(answer["variance"])
    scatter = variance**0.5 / mean if mean else float("inf")
    return StageResult(
        score=lambda: Score(
            falling(scatter, good=1.0, bad=5.0), f"The weights scatter by {scatter:.2f} of their mean."
        ),
        tables=(Table("Weights of the targets", ("Mean", "Scatter"), [(f"{mean:.4g}", f"{variance**0.5:.4g}")]),),
    )


def _bandpass(context: Context, name: str) -> StageResult:
    table = solve_bandpass(context, name).table
    apply_calibration(context, context.observation.bandpass_calibrators, flag_unsolved=False)
    unsolved = unsolved_part(table)
    return StageResult(
        score=lambda: Score(
            falling(unsolved, good=0.10, bad=0.50), f"{unsolved:.1%} of the bandpass was not solved for."
        ),
        notes=(f"The reference antenna is {context.reference_antenna}.",),
        tables=(_solutions({table: unsolved}),),
        figures=_bandpass_figures(context, table),
    )


def _bandpass_figures(context: Context, table: str) -> tuple[Figure, ...]:
    antennas = context.observation.antennas
    return (
        context.figure("bandpass_amplitude.png", "Bandpass, amplitude.", figures.bandpass_amplitude(table, antennas)),
        context.figure("bandpass_phase.png", "Bandpass, phase.", figures.bandpass_phase(table, antennas)),
    )


def _solutions(parts: dict[str, float]) -> Table:
    return Table("Solutions", ("Table", "Missing"), [(table, f"{part:.2%}") for table, part in parts.items()])


def _held(context: Context, kind: str) -> str:
    if kind not in context.calibration:
        raise StageOrderError(
            f"There are no solutions for the {kind}: the PPR names no stage before this that makes them."
        )
    return context.calibration[kind].table


def _without_model(context: Context) -> list[Field]:
    known = {field.number for field in context.observation.flux_calibrators}
    return [field for field in context.observation.calibrators if field.number not in known]
