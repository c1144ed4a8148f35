"""Export of the products: what is archived, and what a restore needs."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.pipeline import restore
from sandbox.pipeline.apply_list import apply_list
from sandbox.pipeline.context import PIPELINE_VERSION, Context, now
from sandbox.pipeline.manifest import UNDEFINED, Calibrated, Products, Versions, write_aqua_report, write_manifest
from sandbox.pipeline.ppr import on_disk
from sandbox.pipeline.results import Score, StageResult, Table
from sandbox.pipeline.script import pipeline_script, restore_script
from sandbox.pipeline.weblog.pages import pack_weblog, write_weblog

# What an analyst may have put into the working directory, or edit for the next run.
_AUXILIARY = ("flux.csv", "antennapos.csv", "cont.dat", "*.flagtemplate.txt")
_ALMA_AUXILIARY = ("cont.dat", "*.flagtargetstemplate.txt")


def hifv_exportdata(context: Context, /) -> StageResult:
    """Copy and packs the products into the products directory.

    The manifest is written before the weblog is packed, as the observatory's pipeline does it: if packing fails,
    there is a manifest and an ``errorexit``.

    Args:
        context: the run.
    """
    directory = context.directories.products
    directory.mkdir(parents=True, exist_ok=True)
    prefix = f"unknown.{context.request.procedure}"
    context.casa(
        "flagmanager", vis=context.vis, mode="save", versionname=restore.FLAG_VERSION, comment="end of the run"
    )
    names = _Names(prefix, "unknown", "")
    files = _common_files(context, names, _AUXILIARY)
    files["restorescript"] = _write(
        directory / "casa_piperestorescript.py", restore_script(context.weighted, ocorr_mode=context.ocorr_mode)
    )
    calibrated = Calibrated(
        measurement_set=context.vis,
        caltables=_pack(directory / "unknown.session_1.caltables.tgz", _calibration_tables(context)),
        flag_versions=_pack(directory / f"{context.vis}.flagversions.tgz", [Path(f"{context.vis}.flagversions")]),
        apply_list=_write(directory / f"{context.vis}.calapply.txt", _apply_list(context)),
    )
    images = tuple(_copy(path, directory / path.name) for path in context.images)
    return _finish(context, names, Products((calibrated,), images, files))


def hifa_exportdata(context: Context, /, *, imaging_products_only: bool = False) -> StageResult:
    """Copy and packs the products of a MOUS into the products directory.

    Args:
        context: the run.
        imaging_products_only: leave out the calibration, which an imaging run has not made.
    """
    if not imaging_products_only:
        raise ValueError("this recipe makes no calibration: hifa_exportdata needs imaging_products_only=True")
    directory = context.directories.products
    directory.mkdir(parents=True, exist_ok=True)
    names = _alma_names(context)
    images = tuple(_copy(path, directory / path.name) for path in context.images)
    products = Products((), images, _common_files(context, names, _ALMA_AUXILIARY))
    result = _finish(context, names, products)
    if not images:
        return replace(result, score=lambda: Score(0.0, "No image was exported: none was made."))
    return result


def export_failure(context: Context, errorexit: Path) -> None:
    """Copy ``errorexit`` and the weblog of a run that failed into the products, as ALMA does.

    Args:
        context: the run.
        errorexit: the file.
    """
    directory = context.directories.products
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(errorexit, directory / errorexit.name)
    try:
        pack_weblog(context, directory / f"{_alma_names(context).each}weblog.tgz")
    except OSError as error:
        print(f"The weblog could not be packed: {error}", flush=True)


@dataclass(frozen=True)
class _Names:
    """How the names of products begin.

    Attributes:
        recipe: of PPR, manifest and auxiliary files, without the dot.
        unit: the manifest's name of what was observed.
        each: of weblog, report, log and scripts.
    """

    recipe: str
    unit: str
    each: str


def _alma_names(context: Context) -> _Names:
    unit = on_disk(context.request.ous)
    recipe = f"{unit}.{context.request.procedure}"
    return _Names(recipe, unit, f"{recipe}.")


def _common_files(context: Context, names: _Names, auxiliary: tuple[str, ...]) -> dict[str, str]:
    """Write what every run exports; return the names by the manifest's elements. Weblog and report come later."""
    directory = context.directories.products
    log = context.html / "casa_commands.log"
    script = directory / f"{names.each}casa_pipescript.py"
    return {
        "piperequest": _copy(context.request.path, directory / f"{names.recipe}.pprequest.xml"),
        "weblog": f"{names.each}weblog.tgz",
        "casa_cmdlog": _copy(log, directory / f"{names.each}casa_commands.log"),
        "pipescript": _write(script, pipeline_script(context.request)),
        "aqua_report": f"{names.each}pipeline_aquareport.xml",
        "aux_products_file": _pack(directory / f"{names.recipe}.auxproducts.tgz", _auxiliary_files(auxiliary)),
    }


def _finish(context: Context, names: _Names, products: Products) -> StageResult:
    import casatasks

    directory = context.directories.products
    versions = Versions(casatasks.version_string(), PIPELINE_VERSION)
    report = directory / products.files["aqua_report"]
    write_aqua_report(
        report,
        context.stages,
        started=context.started,
        ended=now(),
        versions=versions,
        project=_project(context, names),
        asdm=context.sdm,
    )
    # The weblog holds the request and the report, too.
    for path in (report, context.request.path):
        if path.is_file():
            shutil.copyfile(path, context.html / path.name)
    manifest = directory / f"{names.recipe}.pipeline_manifest.xml"
    write_manifest(manifest, products, procedure=context.request.procedure, versions=versions, ous=names.unit)
    write_weblog(context)
    pack_weblog(context, directory / products.files["weblog"])
    sizes = [(path.name, f"{path.stat().st_size:,}") for path in sorted(directory.iterdir()) if path.is_file()]
    return StageResult(
        score=lambda: Score(1.0, f"{len(sizes)} products were exported."),
        tables=(Table("Products", ("Name", "Bytes"), sizes),),
    )


def _project(context: Context, names: _Names) -> dict[str, str]:
    request = context.request
    unit = request.ous or names.unit
    return {
        "ProposalCode": str(request.proposal_code),
        "ProcessingRequestEntityId": UNDEFINED,
        "ProcessingProcedure": str(request.procedure),
        "OusEntityId": UNDEFINED if request.ous else unit,
        "OusPartId": UNDEFINED if request.ous else unit,
        "OusStatusEntityId": unit,
        "ExecBlockId": UNDEFINED,
    }


def _copy(source: Path, target: Path) -> str:
    if not source.is_file():
        return ""
    shutil.copyfile(source, target)
    return target.name


def _write(target: Path, text: str) -> str:
    if not text:
        return ""
    target.write_text(text, encoding="utf-8")
    return target.name


def _pack(target: Path, members: Iterable[Path]) -> str:
    present = [member for member in members if member.exists()]
    if not present:
        return ""
    with tarfile.open(target, "w:gz", compresslevel=3) as tar:
        for member in present:
            tar.add(member, arcname=member.name)
    return target.name


def _auxiliary_files(patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in Path().glob(pattern))


def _calibration_tables(context: Context) -> list[Path]:
    """Return the tables that the apply list names, each once."""
    named = [table for call in context.applied for table in _tables_of(call)]
    return [Path(table) for table in dict.fromkeys(named)]


def _tables_of(call: dict[str, object]) -> list[str]:
    tables = call["gaintable"]
    return [str(table) for table in tables] if isinstance(tables, list) else []


def _apply_list(context: Context) -> str:
    if not context.applied:
        return ""
    return apply_list(context.vis, context.applied, context.observation)
