#!/usr/bin/env python3
"""A second, independent `casa`: it keeps the observatory's calling contract and computes nothing.

What is kept: the argument form ``casa --nogui --nologger [--agg] -c $SCIPIPE_HEURISTICS/pipeline/runvlapipeline.py
PPR.xml``, ``SCIPIPE_ROOTDIR`` and ``RelativePath``, the reader's silent traps, the ways in which a run ends (errorexit
files, exit status, standard error), the shape of CASA's log and its name, the exact names of a VLA run's products, the
manifest, the AQUA report and the apply list in the shape of the real ones, the restore script, which needs
``casa --pipeline``, and what an import leaves in ``working/``: the flag template, kept if it is there, and the
measurement set, which must not be there. What it makes depends on the observation and on the analyst's files that a
stage of the PPR reads, each by its own stage alone, so that two runs with the same of them have the same calibration.
It needs the standard library only and knows nothing of this project. Started with ``runpipeline.py`` it is ALMA's; what
that does otherwise is in ``casa_contract_alma``.

How a test asks for trouble: a file ``behaviour.json`` beside ``runvlapipeline.py``, see :class:`Behaviour`. Each start
appends one line to ``starts.log`` in the same folder, so that a test counts CASA processes at CASA.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import runpy
import shlex
import signal
import stat
import subprocess
import sys
import tarfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from casa_contract_ppr import Request

CASA_VERSION = "6.6.1.17"
PIPELINE_VERSION = "2024.1.0.8"
_RUNNER = """\
import sys
sys.path.insert(0, {folder!r})
from casa_contract import run_pipeline
run_pipeline(sys.argv[-1])
"""


@dataclass
class Behaviour:
    """What this CASA does other than succeed at once; each field is a key of ``behaviour.json``.

    Attributes:
        seconds_per_stage: how long each stage takes.
        hang_at: the stage that never ends.
        hold_at: the stage that waits until there is a file ``release`` in ``working/``.
        fail_at: the stage that fails: ``errorexit`` is written, and CASA ends as its family does.
        fail_occurrence: which of the stages of that name it is, from 1.
        break_runner: the runner cannot be imported: CASA ends with status 1 and writes why to its standard error only.
        crash_at: the stage in which CASA kills itself with ``crash_signal``.
        crash_signal: see ``crash_at``; a name of :class:`signal.Signals`.
        exit_code: what CASA exits with in the end, unless it ends in an error.
        undefined: element names of the manifest whose product is not made and named ``Undefined``.
        missing: products that are named in the manifest and not there.
        empty: products that are there and empty.
        without: of ``manifest``, ``report``, what is not written at all.
        left_out_of_report: stages that the AQUA report does not list.
        extra_names: element name to a file name that the manifest gives besides.
        scores: stage to its score in the AQUA report, as the text of the attribute.
        leave_table_out: the calibration tables' tar lacks the last of the tables that the apply list names.
        change_ppr: a blank is appended to the PPR while CASA runs.
        ignore_sigterm: CASA does not end at SIGTERM.
        daemon: CASA leaves a child that left its session, group and parent (and ignores SIGTERM, if CASA does).
        memory_mb: how much memory CASA uses.
        log: the log's name in ``working/``; ``{time}`` is filled in.
        linger_seconds: how long CASA lives on after its last stage.
    """

    seconds_per_stage: float = 0.0
    hang_at: str = ""
    hold_at: str = ""
    fail_at: str = ""
    fail_occurrence: int = 1
    break_runner: bool = False
    crash_at: str = ""
    crash_signal: str = "SIGKILL"
    exit_code: int = 0
    undefined: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    left_out_of_report: list[str] = field(default_factory=list)
    extra_names: dict[str, str] = field(default_factory=dict)
    scores: dict[str, str] = field(default_factory=dict)
    leave_table_out: bool = False
    change_ppr: bool = False
    ignore_sigterm: bool = False
    daemon: bool = False
    memory_mb: int = 0
    log: str = "casa-{time}.log"
    linger_seconds: float = 0.0


# --- for tests ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ContractCasa:
    """An installed CASA of this kind.

    Attributes:
        folder: what it was installed into.
    """

    folder: Path

    @property
    def casa(self) -> Path:
        """The executable."""
        return self.folder / "bin" / "casa"

    @property
    def heuristics(self) -> Path:
        """What ``SCIPIPE_HEURISTICS`` is to be."""
        return self.folder / "heuristics"

    def behave(self, **behaviour: object) -> None:
        """Set what each CASA that starts from now on does; see :class:`Behaviour`."""
        text = json.dumps(asdict(Behaviour(**behaviour)))  # type: ignore[arg-type]
        temporary = self.heuristics / "pipeline" / ".behaviour.json"
        temporary.write_text(text)
        temporary.replace(self.heuristics / "pipeline" / "behaviour.json")

    def starts(self) -> list[dict[str, object]]:
        """Return what each start left: pid, working directory, arguments and environment."""
        log = self.heuristics / "pipeline" / "starts.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def install(folder: Path) -> ContractCasa:
    """Installs this CASA into a folder and returns it."""
    installed = ContractCasa(folder)
    installed.casa.parent.mkdir(parents=True)
    pipeline = installed.heuristics / "pipeline"
    pipeline.mkdir(parents=True)
    (pipeline / "__init__.py").write_text(f"revision = {PIPELINE_VERSION!r}\n")
    for runner in ("runvlapipeline.py", "runpipeline.py"):
        (pipeline / runner).write_text(_RUNNER.format(folder=str(Path(__file__).resolve().parent)))
    command = shlex.join([sys.executable, "-I", str(Path(__file__).resolve())])
    installed.casa.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    installed.casa.chmod(installed.casa.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    installed.behave()
    return installed


# --- casa ---------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Run as ``casa`` does: the options that a headless run needs, ``-c``, a script, and the script's argument.

    Or a script without an argument, of the products for example, which is executed as CASA executes any. It has the
    pipeline's tasks only if CASA is started with ``--pipeline``.
    """
    options, dash_c, script, request = _parts(arguments)
    required, allowed = {"--nogui", "--nologger"}, {"--nogui", "--nologger", "--agg"}
    if dash_c == "-c" and not request:
        tasks = {"hifv_restoredata": _restore, "hifv_statwt": lambda: None} if "--pipeline" in options else {}
        runpy.run_path(script, init_globals=tasks, run_name="__main__")
        return
    if dash_c != "-c" or not required <= set(options) <= allowed:
        sys.exit(f"casa: not the agreed form: {shlex.join(arguments)}")
    heuristics = os.environ.get("SCIPIPE_HEURISTICS", "")
    if not heuristics or Path(script).parent != Path(heuristics) / "pipeline":
        sys.exit(f"casa: {script} is not in $SCIPIPE_HEURISTICS/pipeline")
    folder = Path(script).parent
    started = {
        "pid": os.getpid(),
        "working_directory": str(Path.cwd()),
        "arguments": arguments,
        "environment": dict(os.environ),
        "open_files": sorted(os.listdir("/proc/self/fd")),  # noqa: PTH208
    }
    with (folder / "starts.log").open("a") as stream:
        stream.write(json.dumps(started) + "\n")
    if not Path(script).is_file():
        sys.exit(f"casa: there is no {script}")
    sys.argv = [script, request]
    runpy.run_path(script, run_name="__main__")


def _parts(arguments: list[str]) -> tuple[list[str], str, str, str]:
    """Return the options, ``-c`` if it is there, the script, and its argument if it has one."""
    if "-c" not in arguments:
        return arguments, "", "", ""
    place = arguments.index("-c")
    script, request, *more = [*arguments[place + 1 :], "", ""]
    return arguments[:place], "" if any(more) else "-c", script, request


def _restore(vis: list[str], session: list[str], ocorr_mode: str) -> None:
    """Restores a measurement set in the present directory, as ``hifv_restoredata`` does."""
    for name in vis:
        if not (Path("../rawdata") / name).is_dir():
            raise FileNotFoundError(f"../rawdata/{name} does not exist")
        apply_list = (Path("../products") / f"{name}.ms.calapply.txt").read_text()
        with tarfile.open(f"../products/unknown.{session[0]}.caltables.tgz") as packed:
            held = {member.partition("/")[0] for member in packed.getnames()}
        named = re.findall(r"'([^']+\.tbl)'", apply_list)
        if not named or not set(named) <= held:
            raise FileNotFoundError(f"the calibration tables of {name} are not all there")
        Path(f"{name}.ms").mkdir()


# --- the pipeline --------------------------------------------------------------------------------------------------


class _Log:
    """CASA's log: time, level, origin, message, separated by tabs; a continuation line has ``+`` behind its origin."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a")

    def __call__(self, text: str, level: str = "INFO", origin: str = "pipeline::") -> None:
        for number, line in enumerate(text.splitlines()):
            more = "+" if number else ""
            self._stream.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}\t{level}\t{origin}::casa{more}\t{line}\n")
        self._stream.flush()


_BASETASK = "pipeline::pipeline.infrastructure.basetask"


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}"


def run_pipeline(argument: str) -> None:
    """Read the PPR and run its stages; a failure is an ``errorexit`` file, and ALMA's an exit status of 1 too."""
    # By these names only, which the script's own search path has.
    from casa_contract_ppr import NotFoundError

    behaviour = Behaviour(**json.loads((Path(sys.argv[0]).parent / "behaviour.json").read_text()))
    root = os.environ.get("SCIPIPE_ROOTDIR")
    started_in = Path.cwd()
    log = _Log(started_in / behaviour.log.format(time=f"{datetime.now(UTC):%Y%m%d-%H%M%S}"))
    if behaviour.break_runner:
        raise ModuleNotFoundError("No module named 'pipeline.runvlapipeline'")
    _misbehave_from_the_start(behaviour)
    try:
        request, run = _family(started_in / argument)
        top = Path(root) / request.relative_path if root is not None else started_in.parent
        os.chdir(top / "working")
    except (NotFoundError, OSError) as error:
        log(f"Error: {error}")
        Path(f"errorexit-{_stamp()}.txt").touch()
        sys.exit(behaviour.exit_code)
    request.print_all()
    log(f"Commands list: {list(zip(request.stages, request.parameters, strict=True))}")
    try:
        run(request, behaviour, log, top, started_in / argument).all_stages()
    except _StageFailed:
        Path(f"errorexit-{_stamp()}.txt").touch()
        if run.executor != Run.executor:
            raise  # ALMA's exits with 1, the VLA's in order
    log("Terminating procedure execution ...")
    time.sleep(behaviour.linger_seconds)
    sys.exit(behaviour.exit_code)


class _StageFailed(Exception):
    """A stage failed; the log says why."""


def _family(ppr: Path) -> tuple[Request, type[Run]]:
    """Return the PPR and what runs it, by the script that CASA was started with."""
    from casa_contract_ppr import read

    if Path(sys.argv[0]).name == "runpipeline.py":
        from casa_contract_alma import AlmaRun

        return read(ppr, alma=True), AlmaRun
    request = read(ppr)
    if request.title == "hifv_contimage":
        from casa_contract_vla_imaging import VlaImagingRun

        return request, VlaImagingRun
    return request, Run


def _misbehave_from_the_start(behaviour: Behaviour) -> None:
    if behaviour.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour.daemon:
        code = (
            "import os, signal, time\n"
            "if os.fork(): os._exit(0)\n"
            "os.setsid()\n"
            "if os.fork(): os._exit(0)\n"
            + ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if behaviour.ignore_sigterm else "")
            + "temporary = '.daemon.pid'\n"
            "open(temporary, 'w').write(str(os.getpid()))\n"
            "os.rename(temporary, 'daemon.pid')\n"
            "time.sleep(600)\n"
        )
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
    if behaviour.memory_mb:
        bytearray(behaviour.memory_mb * 1024 * 1024).count(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Run:
    """A run of the VLA's recipe, and what every run has."""

    def __init__(self, request: Request, behaviour: Behaviour, log: _Log, top: Path, ppr: Path) -> None:
        self.request = request
        self.behaviour = behaviour
        self.log = log
        self.ppr = ppr
        self.products = top / "products"
        self.sdm = top / "rawdata" / request.identifiers[0]
        self.weblog = top / "working" / f"pipeline-{_stamp()}" / "html"
        self.begun = datetime.now(UTC)
        self.done: list[str] = []
        self.calibration = b""

    #: The function that runs the stages, as the log names it.
    executor = "executevlappr"

    def all_stages(self) -> None:
        """Run every stage, in order."""
        for number, stage in enumerate(self.request.stages, start=1):
            parameters = self.request.parameters[number - 1]
            called = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
            try:
                self.log("Executing command ..." + stage, origin=f"{stage}::")
                self.log(f"Starting execution for stage {number}", origin=_BASETASK)
                self.log(f"Equivalent Pipeline CLI call: {stage}({called})", origin=_BASETASK)
                self._trouble(stage)
                self.work(stage)
            except Exception:  # noqa: BLE001  as the real executor
                self._tell_of_failure(stage, traceback.format_exc())
                raise _StageFailed from None
            self.done.append(stage)

    def _tell_of_failure(self, stage: str, why: str) -> None:
        self.log(f"Error executing pipeline task {stage}.", "SEVERE", _BASETASK)
        self.log(why, "SEVERE", _BASETASK)
        self.log(f"Unhandled error in {self.executor} while running pipeline task {stage}")
        self.log(why)

    def work(self, stage: str) -> None:
        """Do what a stage does."""
        if stage.endswith("_importdata"):
            self._import()
        read = Path(self._reads(stage, self.request.parameters[len(self.done)]))
        if read.is_file():
            self.calibration = hashlib.sha256(self.calibration + read.read_bytes()).digest()
            self._write_measurement_set()
        if stage.endswith("_exportdata"):
            self._export()

    def _trouble(self, stage: str) -> None:
        time.sleep(self.behaviour.seconds_per_stage)
        if self.behaviour.change_ppr and not self.done:
            with self.ppr.open("ab") as stream:
                stream.write(b"\n")
        if stage == self.behaviour.crash_at:
            os.kill(os.getpid(), signal.Signals[self.behaviour.crash_signal])
        while stage == self.behaviour.hang_at:
            time.sleep(1)
        while stage == self.behaviour.hold_at and not Path("release").exists():
            time.sleep(0.1)
        if stage == self.behaviour.fail_at and self.done.count(stage) + 1 == self.behaviour.fail_occurrence:
            raise RuntimeError(f"{stage} failed, as asked for")

    def _reads(self, stage: str, parameters: Mapping[str, Any]) -> str:
        """Return the file of an analyst that a stage reads; nothing if it reads none, or has a parameter against it."""
        template = parameters.get("template", True) is not False
        positions = parameters.get("hm_antpos") == "file"
        targets = parameters.get("checkflagmode") == "target-vla" and parameters.get("usecontdat", True) is not False
        return {
            "hifv_flagdata": f"{self.sdm.name}.flagtemplate.txt" if template else "",
            "hifv_vlasetjy": "flux.csv",
            "hif_antpos": "antennapos.csv" if positions else "",
            "hifv_checkflag": "cont.dat" if targets else "",
            "hifv_statwt": "cont.dat",
            "hifv_targetflag": "cont.dat",
        }.get(stage, "")

    def _import(self) -> None:
        if not self.sdm.is_dir():
            raise FileNotFoundError(f"{self.sdm} does not exist")
        template = Path(f"{self.sdm.name}.flagtemplate.txt")
        if not template.exists():
            template.write_text("# Flag commands of the analyst, one a line.\n")
        digest = hashlib.sha256()
        for path in sorted(path for path in self.sdm.rglob("*") if path.is_file()):
            digest.update(path.read_bytes())
        self.calibration = digest.digest()
        # As the real one, which has no branch for a measurement set that is there.
        Path(f"{self.sdm.name}.ms").mkdir()
        self._write_measurement_set()

    def _write_measurement_set(self) -> None:
        measurement_set = Path(f"{self.sdm.name}.ms")
        (measurement_set / "table.dat").write_bytes(self.calibration)
        (measurement_set / "table.f1").write_bytes(self.calibration * 1000)

    def _export(self) -> None:
        self.products.mkdir(exist_ok=True)
        name = self.sdm.name
        prefix = f"unknown.{self.request.title}"
        self.write_weblog()
        restore = f"hifv_restoredata(vis=['{name}'], session=['session_1'], ocorr_mode='co')\nhifv_statwt()\n"
        tables = [f"{name}.ms.hifv_finalcals.s11_{number}.{what}.tbl" for number, what in ((2, "delay"), (4, "BPcal"))]
        packed = tables[: -1 if self.behaviour.leave_table_out else None]
        image = "oussid.3C286_bp.L_band.cont.regcal.I"
        named = [
            ("piperequest", f"{prefix}.pprequest.xml", self.request.bytes),
            ("weblog", "weblog.tgz", tar(self.weblog.parent)),
            ("casa_cmdlog", "casa_commands.log", b"# CASA commands\n"),
            ("pipescript", "casa_pipescript.py", b"# pipeline script\n"),
            ("restorescript", "casa_piperestorescript.py", restore.encode()),
            ("aux_products_file", f"{prefix}.auxproducts.tgz", tar(self.weblog)),
            ("caltables", "unknown.session_1.caltables.tgz", tar_of(packed, self.calibration * 1000)),
            ("finalflags", f"{name}.ms.flagversions.tgz", tar_of(["flags"], self.calibration)),
            ("applycmds", f"{name}.ms.calapply.txt", _apply_list(f"{name}.ms", tables).encode()),
            ("image", f"{image}.tt0.pbcor.fits", b"SIMPLE  =                    T".ljust(2880)),
        ]
        names = self.write_products(named)
        if "manifest" not in self.behaviour.without:
            self._write_manifest(self.products / f"{prefix}.pipeline_manifest.xml", names)
        if "report" not in self.behaviour.without:
            self.write_report(self.products / "pipeline_aquareport.xml")

    def write_products(self, named: list[tuple[str, str, bytes]]) -> dict[str, str]:
        """Write products, of element, file name and content; return what the manifest calls each element's."""
        for element, file_name, content in named:
            if element not in self.behaviour.undefined and file_name not in self.behaviour.missing:
                (self.products / file_name).write_bytes(b"" if file_name in self.behaviour.empty else content)
        return {e: "Undefined" if e in self.behaviour.undefined else n for e, n, _ in named}

    def write_weblog(self) -> None:
        self.weblog.mkdir(parents=True)
        (self.weblog / "t1-1.html").write_text("<html><body>A weblog of the contract CASA</body></html>\n")
        (self.weblog / "index.html").symlink_to("t1-1.html")

    def _write_manifest(self, path: Path, names: dict[str, str]) -> None:
        results, ous = self.begin_manifest("unknown")
        self.add(ous, "piperequest", names["piperequest"])
        session = ET.SubElement(ous, "session", name="session_1")
        self.add(session, "caltables", names["caltables"], ous_name="N/A", session="session_1")
        asdm = self.add(session, "asdm", f"{self.sdm.name}.ms")
        for element in ("finalflags", "applycmds"):
            self.add(asdm, element, names[element], asdm=f"{self.sdm.name}.ms")
        ET.SubElement(asdm, "restoredata", specline_spws="0")
        for element in ("weblog", "casa_cmdlog", "pipescript", "restorescript", "image"):
            self.add(ous, element, names[element])
        self.end_manifest(path, ous, results, {"aqua_report": "pipeline_aquareport.xml", **names})

    def begin_manifest(self, unit: str) -> tuple[ET.Element, ET.Element]:
        """Return the root of a manifest and its ``ous``, with the versions in it."""
        results = ET.Element("piperesults", name=unit)
        ous = ET.SubElement(results, "ous", name=unit)
        ET.SubElement(ous, "casaversion", name=CASA_VERSION)
        ET.SubElement(ous, "pipeline_version", name=PIPELINE_VERSION)
        ET.SubElement(ous, "procedure_name", name=self.request.title)
        ET.SubElement(ET.SubElement(ous, "execution_environment"), "node", num_mpi_servers="0")
        return results, ous

    def add(self, parent: ET.Element, element: str, name: str, **attributes: str) -> ET.Element:
        """Add a product to a manifest, with attributes that nobody may depend on."""
        return ET.SubElement(parent, element, {"name": name, "datatype": element, "level": "member", **attributes})

    def end_manifest(self, path: Path, ous: ET.Element, results: ET.Element, names: dict[str, str]) -> None:
        """Write a manifest, which names itself last but two, and what a test wants in it besides."""
        self.add(ous, "manifest", path.name)
        for element in ("aqua_report", "aux_products_file"):
            self.add(ous, element, names[element])
        for element, name in self.behaviour.extra_names.items():
            ET.SubElement(ous, element, name=name)
        ET.ElementTree(results).write(path, encoding="utf-8", xml_declaration=True)

    def write_report(self, path: Path) -> None:
        report = ET.Element("PipelineAquaReport")
        summary = ET.SubElement(report, "QaSummary")
        ET.SubElement(summary, "ReportDate").text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        ET.SubElement(summary, "ProcessingTime").text = str(datetime.now(UTC) - self.begun)
        ET.SubElement(summary, "CasaVersion").text = CASA_VERSION
        ET.SubElement(summary, "PipelineVersion").text = PIPELINE_VERSION
        ET.SubElement(summary, "FinalScore").text = "Undefined"
        per_stage = ET.SubElement(report, "QaPerStage")
        # The same stages again, by topic: who counts stages must look at one of the two only.
        topic = ET.SubElement(ET.SubElement(report, "QaPerTopic"), "Dataset", Score="Undefined")
        for parent in (per_stage, topic):
            for number, name in enumerate(self.done, start=1):
                if name not in self.behaviour.left_out_of_report:
                    self._write_stage(parent, number, name)
        ET.ElementTree(report).write(path, encoding="utf-8", xml_declaration=True)

    def _write_stage(self, parent: ET.Element, number: int, name: str) -> None:
        stage = ET.SubElement(parent, "Stage", Number=str(number), Name=name)
        score = self.behaviour.scores.get(name, "1.0")
        for element, value in (("RepresentativeScore", score), ("SubScore", score), ("SubScore", "1")):
            scored = ET.SubElement(stage, element, Score=value, Reason="as asked for")
            ET.SubElement(scored, "Metric", Name="Unknown metric", Value="N/A", Units="")
            ET.SubElement(scored, "DataSelection", Asdm=self.request.identifiers[0], Session="N/A", Spw="N/A")


def _apply_list(vis: str, tables: list[str]) -> str:
    """Return what the real pipeline writes: a remark, and a call with as many of everything as there are tables."""
    lists = {
        "gaintable": tables, "gainfield": [""] * len(tables), "spwmap": [[] for _ in tables],
        "interp": [""] * len(tables), "calwt": [False] * len(tables),
    }  # fmt: skip
    listed = ", ".join(f"{name}={value!r}" for name, value in lists.items())
    selected = f"vis='{vis}', field='1445+099,3C286', intent='TARGET,PHASE', spw='0', antenna='0~26'"
    return f"# Apply file for {vis}\napplycal({selected}, {listed})\n"


def tar(folder: Path) -> bytes:
    """Return a packed folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return stream.getvalue()


def tar_of(names: list[str], content: bytes) -> bytes:
    """Return packed files of the same content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
