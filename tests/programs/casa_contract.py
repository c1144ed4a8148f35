#!/usr/bin/env python3
"""A second, independent `casa`: it keeps the observatory's calling contract and computes nothing.

What is kept: the argument form ``casa --nogui --nologger [--agg] -c $SCIPIPE_HEURISTICS/pipeline/runvlapipeline.py
PPR.xml``, ``SCIPIPE_ROOTDIR`` and ``RelativePath``, the reader's silent traps, the ``errorexit`` file with a normal
return, the exact names of a VLA run's products, the manifest and the AQUA report, and what an import leaves in
``working/``: the flag template, kept if it is there, and the measurement set, which must not be there. What it makes
depends on the observation and on the flag template, so that two runs with the same flags have the same calibration.
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
import resource
import runpy
import shlex
import signal
import stat
import subprocess
import sys
import tarfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
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
        fail_at: the stage that fails: ``errorexit`` is written; the VLA's CASA returns normally, ALMA's exits with 1.
        crash_at: the stage in which CASA kills itself with ``crash_signal``.
        crash_signal: see ``crash_at``; a name of :class:`signal.Signals`.
        exit_code: what CASA exits with in the end, whatever happened.
        undefined: element names of the manifest whose product is not made and named ``Undefined``.
        missing: products that are named in the manifest and not there.
        empty: products that are there and empty.
        without: of ``manifest``, ``report``, what is not written at all.
        left_out_of_report: stages that the AQUA report does not list.
        extra_names: element name to a file name that the manifest gives besides.
        scores: stage to its score in the AQUA report, as the text of the attribute.
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
    change_ppr: bool = False
    ignore_sigterm: bool = False
    daemon: bool = False
    memory_mb: int = 0
    log: str = "casa.log"
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
        """Sets what each CASA that starts from now on does; see :class:`Behaviour`."""
        text = json.dumps(asdict(Behaviour(**behaviour)))  # type: ignore[arg-type]
        temporary = self.heuristics / "pipeline" / ".behaviour.json"
        temporary.write_text(text)
        temporary.replace(self.heuristics / "pipeline" / "behaviour.json")

    def starts(self) -> list[dict[str, object]]:
        """Returns what each start left: pid, working directory, arguments and environment."""
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
    """Runs as ``casa`` does: the options that a headless run needs, ``-c``, a script, and the script's argument.

    A script without an argument is no runner: it is executed, as CASA executes any.
    """
    if arguments[-2:-1] == ["-c"]:
        runpy.run_path(arguments[-1], run_name="__main__")
        return
    *options, dash_c, script, request = arguments if len(arguments) >= 3 else ["", "", "", ""]
    required, allowed = {"--nogui", "--nologger"}, {"--nogui", "--nologger", "--agg"}
    if dash_c != "-c" or not required <= set(options) <= allowed:
        sys.exit(f"casa: not the agreed form: {shlex.join(arguments)}")
    heuristics = os.environ.get("SCIPIPE_HEURISTICS", "")
    if not heuristics or Path(script).parent != Path(heuristics) / "pipeline":
        sys.exit(f"casa: {script} does not lie in $SCIPIPE_HEURISTICS/pipeline")
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


# --- the pipeline --------------------------------------------------------------------------------------------------


class _Log:
    def __init__(self, path: Path) -> None:
        self._stream = path.open("a")

    def __call__(self, text: str, level: str = "INFO") -> None:
        self._stream.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}\t{level}\tcasa::::casa\t{text}\n")
        self._stream.flush()


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}"


def run_pipeline(argument: str) -> None:
    """Reads the PPR and runs its stages; a failure is an ``errorexit`` file, and ALMA's an exit status of 1 too."""
    # By these names only, which the script's own search path has.
    from casa_contract_ppr import NotFoundError

    behaviour = Behaviour(**json.loads((Path(sys.argv[0]).parent / "behaviour.json").read_text()))
    root = os.environ.get("SCIPIPE_ROOTDIR")
    started_in = Path.cwd()
    log = _Log(started_in / behaviour.log.format(time=_stamp()))
    _misbehave_from_the_start(behaviour)
    try:
        request, run = _family(started_in / argument)
        top = Path(root) / request.relative_path if root is not None else started_in.parent
        os.chdir(top / "working")
    except (NotFoundError, OSError) as error:
        log(f"Error: {error}", "SEVERE")
        Path(f"errorexit-{_stamp()}.txt").touch()
        sys.exit(behaviour.exit_code)
    request.print_all()
    try:
        run(request, behaviour, log, top, started_in / argument).all_stages()
    except Exception as error:
        log(f"Error: {error}", "SEVERE")
        Path(f"errorexit-{_stamp()}.txt").touch()
        if run is not Run:
            raise  # ALMA's exits with 1, the VLA's in order
    log("Terminating procedure execution ...")
    time.sleep(behaviour.linger_seconds)
    sys.exit(behaviour.exit_code)


def _family(ppr: Path) -> tuple[Request, type[Run]]:
    """Returns the PPR and what runs it, by the script that CASA was started with."""
    from casa_contract_ppr import read

    if Path(sys.argv[0]).name == "runpipeline.py":
        from casa_contract_alma import AlmaRun

        return read(ppr, alma=True), AlmaRun
    return read(ppr), Run


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

    def all_stages(self) -> None:
        """Runs every stage, in order."""
        for stage in self.request.stages:
            self.log("Executing command ... " + stage)
            self._trouble(stage)
            self.work(stage)
            self.done.append(stage)
            self.log(f"{stage} is done")

    def work(self, stage: str) -> None:
        """Does what a stage does."""
        if stage.endswith("_importdata"):
            self._import()
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
        if stage == self.behaviour.fail_at:
            raise RuntimeError(f"{stage} failed, as asked for")

    def _import(self) -> None:
        if not self.sdm.is_dir():
            raise FileNotFoundError(f"{self.sdm} does not exist")
        template = Path(f"{self.sdm.name}.flagtemplate.txt")
        if not template.exists():
            template.write_text("# Flag commands of the analyst, one a line.\n")
        digest = hashlib.sha256(template.read_bytes())
        for path in sorted(path for path in self.sdm.rglob("*") if path.is_file()):
            digest.update(path.read_bytes())
        self.calibration = digest.digest()
        # As the real one, which has no branch for a measurement set that is there.
        measurement_set = Path(f"{self.sdm.name}.ms")
        measurement_set.mkdir()
        (measurement_set / "table.dat").write_bytes(self.calibration)
        (measurement_set / "table.f1").write_bytes(self.calibration * 1000)

    def _export(self) -> None:
        self.products.mkdir(exist_ok=True)
        name = self.sdm.name
        prefix = f"unknown.{self.request.title}"
        self.write_weblog()
        named = [
            ("piperequest", f"{prefix}.pprequest.xml", self.request.bytes),
            ("weblog", "weblog.tgz", tar(self.weblog.parent)),
            ("casa_cmdlog", "casa_commands.log", b"# CASA commands\n"),
            ("casa_pipescript", "casa_pipescript.py", b"# pipeline script\n"),
            ("casa_restorescript", "casa_piperestorescript.py", b"# restore script\n"),
            ("aux_products", f"{prefix}.auxproducts.tgz", tar(self.weblog)),
            ("caltables", "unknown.session_1.caltables.tgz", tar_of("caltable", self.calibration * 1000)),
            ("finalflags", f"{name}.ms.flagversions.tgz", tar_of("flags", self.calibration)),
            ("applycmds", f"{name}.ms.calapply.txt", b"applycal(vis='x')\n"),
            ("image", f"{prefix}.3C286_bp.cont.I.pbcor.fits", b"SIMPLE  =                    T".ljust(2880)),
        ]
        names = self.write_products(named)
        if "manifest" not in self.behaviour.without:
            self._write_manifest(self.products / f"{prefix}.pipeline_manifest.xml", names)
        if "report" not in self.behaviour.without:
            self.write_report(self.products / "pipeline_aquareport.xml")

    def write_products(self, named: list[tuple[str, str, bytes]]) -> dict[str, str]:
        """Writes products, of element, file name and content; returns what the manifest calls each element's."""
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
        ET.SubElement(ous, "piperequest", name=names["piperequest"])
        session = ET.SubElement(ous, "session", name="session_1")
        ET.SubElement(session, "caltables", name=names["caltables"])
        asdm = ET.SubElement(session, "asdm", name=f"{self.sdm.name}.ms")
        for element in ("finalflags", "applycmds"):
            ET.SubElement(asdm, element, name=names[element])
        for element in ("weblog", "casa_cmdlog", "casa_pipescript", "casa_restorescript", "aux_products", "image"):
            ET.SubElement(ous, element, name=names[element])
        self.end_manifest(path, results, ous)

    def begin_manifest(self, unit: str) -> tuple[ET.Element, ET.Element]:
        """Returns the root of a manifest and its ``ous``, with the versions in it."""
        results = ET.Element("piperesults")
        ous = ET.SubElement(results, "ous", name=unit)
        ET.SubElement(ous, "casaversion", name=CASA_VERSION)
        ET.SubElement(ous, "pipeline_version", name=PIPELINE_VERSION)
        ET.SubElement(ous, "procedure_name", name=self.request.title)
        return results, ous

    def end_manifest(self, path: Path, results: ET.Element, ous: ET.Element) -> None:
        """Writes a manifest, with what a test wants in it besides."""
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
        per_stage = ET.SubElement(report, "QaPerStage")
        for number, name in enumerate(self.done, start=1):
            if name not in self.behaviour.left_out_of_report:
                stage = ET.SubElement(per_stage, "Stage", Number=str(number), Name=name)
                score = self.behaviour.scores.get(name, "1.0")
                ET.SubElement(stage, "RepresentativeScore", Score=score, Reason="as asked for")
        ET.ElementTree(report).write(path, encoding="utf-8", xml_declaration=True)


def tar(folder: Path) -> bytes:
    """Returns a packed folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return stream.getvalue()


def tar_of(name: str, content: bytes) -> bytes:
    """Returns a packed file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
