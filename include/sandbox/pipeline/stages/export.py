"""Export of the products: what is archived, and what a restore needs."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from sandbox.pipeline import restore
from sandbox.pipeline.casa_calls import as_python
from sandbox.pipeline.context import PIPELINE_VERSION, Context, now
from sandbox.pipeline.manifest import Products, Versions, write_aqua_report, write_manifest
from sandbox.pipeline.results import Score, StageResult, Table
from sandbox.pipeline.script import pipeline_script, restore_script
from sandbox.pipeline.weblog.pages import pack_weblog, write_weblog

# What an analyst may have put into the working directory, or edit for the next run.
_AUXILIARY = ("flux.csv", "antennapos.csv", "*.flagtemplate.txt")


def hifv_exportdata(context: Context, /) -> StageResult:
    """Copies and packs the products into the products directory.

    The manifest is written before the weblog is packed, as the observatory's pipeline does it: if packing fails,
    there is a manifest and an ``errorexit``.

    Args:
        context: the run.
    """
    import casatasks

    directory = context.directories.products
    directory.mkdir(parents=True, exist_ok=True)
    prefix = f"unknown.{context.request.procedure}"
    versions = Versions(casatasks.version_string(), PIPELINE_VERSION)
    context.casa(
        "flagmanager", vis=context.vis, mode="save", versionname=restore.FLAG_VERSION, comment="end of the run"
    )
    files = {
        "piperequest": _copy(context.request.path, directory / f"{prefix}.pprequest.xml"),
        "weblog": "weblog.tgz",
        "casa_cmdlog": _copy(context.html / "casa_commands.log", directory / "casa_commands.log"),
        "casa_pipescript": _write(directory / "casa_pipescript.py", pipeline_script(context.request)),
        "casa_restorescript": _write(
            directory / "casa_piperestorescript.py", restore_script(context.weighted, ocorr_mode=context.ocorr_mode)
        ),
        "aqua_report": "pipeline_aquareport.xml",
        "aux_products_file": _pack(directory / f"{prefix}.auxproducts.tgz", _auxiliary_files()),
    }
    products = Products(
        measurement_set=context.vis,
        caltables=_pack(directory / "unknown.session_1.caltables.tgz", _calibration_tables(context)),
        flag_versions=_pack(directory / f"{context.vis}.flagversions.tgz", [Path(f"{context.vis}.flagversions")]),
        apply_list=_write(directory / f"{context.vis}.calapply.txt", _apply_list(context)),
        images=tuple(_copy(path, directory / path.name) for path in context.images),
        files=files,
    )
    write_aqua_report(
        directory / "pipeline_aquareport.xml", context.stages, started=context.started, ended=now(), versions=versions
    )
    manifest = directory / f"{prefix}.pipeline_manifest.xml"
    write_manifest(manifest, products, procedure=context.request.procedure, versions=versions)
    write_weblog(context)
    pack_weblog(context, directory / "weblog.tgz")
    sizes = [(path.name, f"{path.stat().st_size:,}") for path in sorted(directory.iterdir()) if path.is_file()]
    return StageResult(
        score=lambda: Score(1.0, f"{len(sizes)} products were exported."),
        tables=(Table("Products", ("Name", "Bytes"), sizes),),
    )


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


def _auxiliary_files() -> list[Path]:
    return sorted(path for pattern in _AUXILIARY for path in Path().glob(pattern))


def _calibration_tables(context: Context) -> list[Path]:
    """Returns the tables that the apply list names, each once."""
    named = [table for call in context.applied for table in _tables_of(call)]
    return [Path(table) for table in dict.fromkeys(named)]


def _tables_of(call: dict[str, object]) -> list[str]:
    tables = call["gaintable"]
    return [str(table) for table in tables] if isinstance(tables, list) else []


def _apply_list(context: Context) -> str:
    return "".join(as_python("applycal", call) + "\n" for call in context.applied)
