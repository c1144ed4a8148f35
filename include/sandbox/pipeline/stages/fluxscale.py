"""The scale of flux densities."""

from __future__ import annotations

from statistics import median

from sandbox.pipeline import figures
from sandbox.pipeline.context import Context
from sandbox.pipeline.flux_file import FILE_NAME, FluxDensity
from sandbox.pipeline.measures import flux_density_by_antenna
from sandbox.pipeline.observation import Field
from sandbox.pipeline.results import Score, StageResult, Table, falling
from sandbox.pipeline.stages.models import STANDARD, Stokes, flux_densities_of
from sandbox.pipeline.stages.solving import solve_gains

# A flux density in flux.csv that is further from the standard than this is made a point of in the score.
_USUAL_DEVIATION = 0.10


def hifv_vlasetjy(context: Context, /) -> StageResult:
    """Set the models of the flux density calibrators: from ``flux.csv`` where it has a row, else from the standard.

    Args:
        context: the run.
    """
    rows: list[tuple[str, ...]] = []
    deviations = []
    for field in context.observation.flux_calibrators:
        standard = _set_standard_model(context, field)
        for spw, stokes in standard.items():
            given = _row_for(context, field, spw)
            if given:
                _set_given_model(context, field, given)
            used = given.stokes[0] if given else stokes[0]
            deviations.append(abs(used / stokes[0] - 1.0))
            rows.append((field.name, str(spw), f"{used:.4f}", FILE_NAME if given else STANDARD, f"{stokes[0]:.4f}"))
    if not rows:
        raise LookupError("The observation has no flux density calibrator whose flux density is known.")
    deviation = max(deviations)
    return StageResult(
        score=lambda: Score(
            1.0 if deviation <= _USUAL_DEVIATION else 0.5,
            f"The models differ from {STANDARD} by at most {deviation:.1%}.",
        ),
        tables=(Table("Flux density calibrators", ("Field", "Spw", "Used [Jy]", "From", f"{STANDARD} [Jy]"), rows),),
    )


def hifv_fluxboot(context: Context, /) -> StageResult:
    """Derive the flux densities of the other calibrators from the gains.

    Args:
        context: the run.
    """
    references = context.observation.flux_calibrators
    known = {field.number for field in references}
    transfers = [field for field in context.observation.calibrators if field.number not in known]
    for field in transfers:
        for window in context.observation.spectral_windows:
            # What fluxscale takes for granted: that the gains were solved for a source of 1 Jy.
            _set_given_model(
                context, field, FluxDensity(context.vis, field.number, window.number, (1.0, 0.0, 0.0, 0.0))
            )
    solve_gains(context, "fluxboot")
    gains = context.calibration["amplitude"].table
    # Its antennas' answers, beside the mean of them all: one that is wrong stands out.
    by_antenna = flux_density_by_antenna(gains, context.observation)
    answer = context.casa(
        "fluxscale",
        vis=context.vis,
        caltable=gains,
        fluxtable=context.table_name("fluxscale"),
        reference=[field.name for field in references],
        transfer=[field.name for field in transfers],
        listfile=str(context.html / "fluxscale.txt"),
    )
    rows: list[tuple[str, ...]] = []
    scatters = []
    for field in transfers:
        for spw, stokes in flux_densities_of(answer, field.number).items():
            entry = answer[str(field.number)][str(spw)]
            error, solutions = float(entry["fluxdErr"][0]), float(entry["numSol"][0])
            scatter = error * solutions**0.5 / stokes[0]
            scatters.append(scatter)
            context.bootstrapped[field.name] = (stokes[0], error)
            _set_given_model(context, field, FluxDensity(context.vis, field.number, spw, (stokes[0], 0.0, 0.0, 0.0)))
            rows.append((field.name, str(spw), f"{stokes[0]:.4f}", f"{error:.4f}", f"{scatter:.2%}"))
    worst = max(scatters)
    suspects = _suspects(by_antenna)
    return StageResult(
        score=lambda: Score(
            falling(worst, good=0.03, bad=0.15),
            f"The antennas' answers scatter by {worst:.1%}"
            + (f"; furthest off: {', '.join(suspects)}." if suspects else "."),
        ),
        tables=(
            Table(
                "Derived flux densities",
                ("Field", "Spw", "Flux density [Jy]", "Error [Jy]", "Scatter of antennas"),
                rows,
            ),
        ),
        figures=(
            context.figure(
                "flux_by_antenna.png",
                "The flux density that each antenna alone would give.",
                figures.flux_by_antenna(by_antenna),
            ),
        ),
    )


def _set_standard_model(context: Context, field: Field) -> dict[int, Stokes]:
    answer = context.casa("setjy", vis=context.vis, field=field.name, standard=STANDARD, usescratch=True)
    return flux_densities_of(answer, field.number)


def _set_given_model(context: Context, field: Field, density: FluxDensity) -> None:
    centre = context.observation.spectral_windows[density.spw].centre
    context.casa(
        "setjy",
        vis=context.vis,
        field=field.name,
        spw=str(density.spw),
        standard="manual",
        fluxdensity=list(density.stokes),
        spix=density.spectral_index,
        reffreq=f"{centre:.0f}Hz",
        usescratch=True,
    )


def _row_for(context: Context, field: Field, spw: int) -> FluxDensity | None:
    for density in context.flux_densities:
        if (density.field, density.spw) == (field.number, spw):
            return density
    return None


def _suspects(by_antenna: dict[str, float]) -> list[str]:
    """Return the antennas that are further from the middle than is likely: by more than ten median deviations."""
    middle = median(by_antenna.values())
    deviations = {name: abs(value - middle) for name, value in by_antenna.items()}
    limit = 10 * median(deviations.values())
    return [name for name, deviation in deviations.items() if deviation > limit]
