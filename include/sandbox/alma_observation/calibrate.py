"""The calibration of the simulated observation, made from its ASDM alone, and its products; runs in CASA's Python."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sandbox.alma_observation import facts
from sandbox.pipeline.apply_list import apply_list
from sandbox.pipeline.manifest import Calibrated
from sandbox.pipeline.observation import choose_reference_antenna, read_observation
from sandbox.pipeline.restore import FLAG_VERSION

_CALIBRATORS = (facts.BANDPASS_CALIBRATOR, facts.PHASE_CALIBRATOR)


def calibrate(asdm: Path, products: Path, *, mous: str, session: str) -> Calibrated:
    """Calibrates in the working directory and puts into another one what a restore needs, but for the manifest.

    Args:
        asdm: the ASDM's directory.
        products: where calibration tables, flag versions and apply list go.
        mous: name of the MOUS on disk.
        session: name of the session in which the ASDM was observed.
    """
    import casatasks

    vis = f"{asdm.name}.ms"
    online = f"{asdm.name}.flagonline.txt"
    casatasks.importasdm(asdm=str(asdm), vis=vis, ocorr_mode="co", savecmds=True, outfile=online)
    casatasks.flagdata(vis=vis, mode="list", inpfile=online, flagbackup=False)
    tables = _solve(vis)
    calls = [
        *(_apply_call(vis, tables, field, gains_from=field) for field in _CALIBRATORS),
        _apply_call(vis, tables, facts.TARGET, gains_from=facts.PHASE_CALIBRATOR),
    ]
    for call in calls:
        casatasks.applycal(**call)
    casatasks.flagmanager(vis=vis, mode="save", versionname=FLAG_VERSION, comment="end of the run")
    applied = products / f"{vis}.calapply.txt"
    applied.write_text(apply_list(vis, calls, read_observation(vis)), encoding="utf-8")
    caltables, flags = products / f"{mous}.{session}.caltables.tgz", products / f"{vis}.flagversions.tgz"
    _pack(caltables, [Path(table) for table in tables])
    _pack(flags, [Path(f"{vis}.flagversions")])
    return Calibrated(vis, caltables.name, flags.name, applied.name, session)


def _solve(vis: str) -> tuple[str, str, str]:
    """Solves for bandpass, phases and amplitudes; returns their tables."""
    import casatasks

    windows = "spw" + "_".join(map(str, facts.SPECTRAL_WINDOWS))
    names = ("hifa_bandpass.s1_1", "hifa_bandpass.s1_2", "hifa_timegaincal.s2_1", "hifa_gfluxscale.s3_1")
    first, bandpass, short, amplitudes = (
        f"{vis}.{name}.{windows}.{kind}.tbl"
        for name, kind in zip(
            names, ("solintint.gpcal", "channel.solintinf.bcal", "solintint.gpcal", "solintinf.gacal"), strict=True
        )
    )
    phases = f"{vis}.hifa_timegaincal.s2_2.{windows}.solintinf.gpcal.tbl"
    scaled = f"{vis}.hifa_gfluxscale.s3_2.{windows}.solintinf.gacal.tbl"
    cal = facts.BANDPASS_CALIBRATOR
    common: dict[str, Any] = {"vis": vis, "refant": choose_reference_antenna(read_observation(vis).antennas, {})}
    flux = [facts.BANDPASS_CALIBRATOR_FLUX, 0, 0, 0]
    casatasks.setjy(vis=vis, field=cal, standard="manual", fluxdensity=flux, usescratch=False)
    casatasks.gaincal(caltable=first, field=cal, solint="int", calmode="p", **common)
    casatasks.bandpass(caltable=bandpass, field=cal, solint="inf", solnorm=True, gaintable=[first], **common)
    both = ",".join(_CALIBRATORS)
    casatasks.gaincal(caltable=short, field=both, solint="int", calmode="p", gaintable=[bandpass], **common)
    casatasks.gaincal(caltable=phases, field=both, solint="inf", calmode="p", gaintable=[bandpass], **common)
    casatasks.gaincal(caltable=amplitudes, field=both, solint="inf", calmode="a", gaintable=[bandpass, short], **common)
    casatasks.fluxscale(
        vis=vis, caltable=amplitudes, fluxtable=scaled, reference=cal, transfer=[facts.PHASE_CALIBRATOR]
    )
    return bandpass, phases, scaled


def _apply_call(vis: str, tables: Iterable[str], field: str, *, gains_from: str) -> dict[str, Any]:
    interpolation = "nearest" if field == gains_from else "linear"
    return {
        "vis": vis,
        "field": field,
        "gaintable": list(tables),
        "gainfield": ["", gains_from, gains_from],
        "interp": ["linear,linear", interpolation, interpolation],
        "calwt": [True, False, True],
        "applymode": "calflag",
        "flagbackup": False,
    }


def _pack(target: Path, members: Iterable[Path]) -> None:
    with tarfile.open(target, "w:gz", compresslevel=3) as tar:
        for member in members:
            tar.add(member, arcname=member.name)
