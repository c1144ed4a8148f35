"""Import of the SDM."""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.pipeline import figures
from sandbox.pipeline.context import Context
from sandbox.pipeline.flux_file import FILE_NAME, FluxDensity, read_flux_file, write_flux_file
from sandbox.pipeline.observation import Observation, read_observation, utc
from sandbox.pipeline.results import Score, StageResult, Table, nothing_to_do
from sandbox.pipeline.stages.models import STANDARD, flux_densities_of

_CALIBRATION_INTENTS = ("CALIBRATE_FLUX", "CALIBRATE_BANDPASS", "CALIBRATE_PHASE")


def hifv_importdata(context: Context, /, *, ocorr_mode: str = "co") -> StageResult:
    """Import the SDM with its online flags, and reads or writes ``flux.csv``.

    There is no branch for data that are already there: a measurement set in the working directory is an error.

    Args:
        context: the run.
        ocorr_mode: the correlations to keep, in CASA's words; ``co`` is cross-correlations only.
    """
    vis = context.vis
    context.casa(
        "importasdm",
        asdm=str(context.directories.rawdata / context.sdm),
        vis=vis,
        ocorr_mode=ocorr_mode,
        savecmds=True,
        outfile=f"{context.sdm}.flagonline.txt",
    )
    context.ocorr_mode = ocorr_mode
    context.casa("listobs", vis=vis, listfile=str(context.html / "listobs.txt"), overwrite=True)
    observation = context.observation = read_observation(vis)
    notes = _read_or_write_flux_file(context)
    missing = [intent for intent in _CALIBRATION_INTENTS if not observation.fields_for(intent)]
    return StageResult(
        score=lambda: _score(missing),
        notes=notes,
        tables=(_fields(observation), _scans(observation)),
        figures=(context.figure("antennas.png", "Where the antennas stood.", figures.antennas(observation)),),
    )


def hifa_importdata(context: Context, /, *, ocorr_mode: str = "ca") -> StageResult:
    """Import a MOUS's data: ASDMs, or measurement sets that are calibrated already.

    Args:
        context: the run.
        ocorr_mode: the correlations to keep of an ASDM, in CASA's words.
    """
    observations = []
    for sdm in context.request.sdms:
        source, vis = context.directories.rawdata / sdm, f"{sdm.removesuffix('.ms')}.ms"
        if (source / "table.dat").is_file():
            shutil.copytree(source, vis)
        else:
            context.casa("importasdm", asdm=str(source), vis=vis, ocorr_mode=ocorr_mode)
        observations.append(read_observation(vis))
    context.ocorr_mode = ocorr_mode
    first = context.observation = observations[0]
    untargeted = [one.vis for one in observations if not one.targets]
    reason = f"{untargeted[0]} has no target." if untargeted else "Targets were observed in all data."
    return StageResult(
        score=lambda: Score(0.0 if untargeted else 1.0, reason),
        tables=tuple(table for one in observations for table in (_fields(one), _scans(one))),
        figures=(context.figure("antennas.png", "Where the antennas stood.", figures.antennas(first)),),
    )


def hifv_hanning(context: Context, /) -> StageResult:
    """Says why the spectra are not smoothed.

    Args:
        context: the run.
    """
    window = context.observation.spectral_windows[0]
    return nothing_to_do(
        "Not smoothed: smoothing tames the ringing of strong narrow interference in data of the correlator that came "
        f"in 2010. These data are of {context.observation.start:%Y}, and their {window.channels} channels of "
        f"{window.channel_width / 1e3:.1f} kHz are few enough to be kept as they are."
    )


def _read_or_write_flux_file(context: Context) -> tuple[str, ...]:
    path = Path(FILE_NAME)
    if path.exists():
        context.flux_densities = read_flux_file(path, context.vis)
        return (
            f"{FILE_NAME} was in the working directory: {len(context.flux_densities)} of its rows are for these data.",
        )
    context.flux_densities = tuple(_standard_flux_densities(context))
    write_flux_file(path, context.flux_densities)
    return (f"{FILE_NAME} was written, with the flux densities of {STANDARD}.",)


def _standard_flux_densities(context: Context) -> list[FluxDensity]:
    densities = []
    for field in context.observation.flux_calibrators:
        answer = context.casa("setjy", vis=context.vis, field=field.name, standard=STANDARD, usescratch=False)
        for spw, stokes in flux_densities_of(answer, field.number).items():
            comment = f"{field.name}: {STANDARD}"
            densities.append(FluxDensity(context.vis, field.number, spw, stokes, comment=comment))
    return densities


def _score(missing: list[str]) -> Score:
    if missing:
        return Score(0.0, f"No scan has the intent {' or '.join(missing)}.")
    return Score(1.0, "Flux density, bandpass and phase calibrators were observed.")


def _fields(observation: Observation) -> Table:
    rows = [(str(field.number), field.name, ", ".join(sorted(field.intents))) for field in observation.fields]
    return Table("Fields", ("Number", "Name", "Intents"), rows)


def _scans(observation: Observation) -> Table:
    rows = [
        (
            str(scan.number),
            observation.fields[scan.field].name,
            f"{utc(scan.start):%H:%M:%S}",
            f"{utc(scan.end):%H:%M:%S}",
        )
        for scan in observation.scans
    ]
    return Table("Scans (middles of their first and last integrations, UTC)", ("Scan", "Field", "From", "To"), rows)
