"""Runs the sandbox's pipeline as an observatory does: the `casa` command, a PPR, a run directory."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

REPOSITORY = Path(__file__).resolve().parents[3]
CASA = REPOSITORY / "include" / "casa" / "casa"
HEURISTICS = REPOSITORY / "include" / "sandbox" / "pipeline"
CASA_PYTHON = Path(os.environ.get("SRDP_CASA_PYTHON", REPOSITORY / ".venv-casa" / "bin" / "python"))
EXECUTION_BLOCK = "13A-537.sb24066356.eb24324502.49820.38802083333"
VIS = f"{EXECUTION_BLOCK}.ms"
DEADLINE = 400.0

#: A command of a PPR: the task's name and its parameters.
Command = tuple[str, Mapping[str, str]]

#: The standard VLA recipe.
STANDARD_RECIPE: tuple[Command, ...] = (
    ("hifv_importdata", {}),
    ("hifv_hanning", {}),
    ("hifv_flagdata", {"hm_tbuff": "1.5int", "fracspw": "0.01"}),
    ("hifv_vlasetjy", {}),
    ("hifv_priorcals", {}),
    ("hifv_syspower", {}),
    ("hifv_testBPdcals", {}),
    ("hifv_checkflag", {"checkflagmode": "bpd-vla"}),
    ("hifv_semiFinalBPdcals", {}),
    ("hifv_checkflag", {"checkflagmode": "allcals-vla"}),
    ("hifv_solint", {}),
    ("hifv_fluxboot", {}),
    ("hifv_finalcals", {}),
    ("hifv_applycals", {}),
    ("hifv_checkflag", {"checkflagmode": "target-vla"}),
    ("hifv_statwt", {}),
    ("hifv_plotsummary", {}),
    ("hif_makeimlist", {"intent": "PHASE,BANDPASS", "specmode": "cont"}),
    ("hif_makeimages", {"hm_masking": "centralregion"}),
    ("hifv_exportdata", {}),
)


def processing_request(commands: Iterable[Command], *, relative_path: str = "run", sdms: int = 1) -> str:
    """Return a PPR."""
    listed = "".join(
        f"<ProcessingCommand><Command>{task}</Command><ParameterSet>"
        + "".join(
            f"<Parameter><Keyword>{keyword}</Keyword><Value>{value}</Value></Parameter>"
            for keyword, value in parameters.items()
        )
        + "</ParameterSet></ProcessingCommand>"
        for task, parameters in commands
    )
    identifiers = f"<SdmIdentifier>{EXECUTION_BLOCK}</SdmIdentifier>" * sdms
    return (
        "<SciPipeRequest><ProjectSummary><ProposalCode>13A-537</ProposalCode><Observatory>NRAO</Observatory>"
        "<Telescope>EVLA</Telescope><ProcessingSite>Socorro</ProcessingSite><Operator>vlapipe</Operator>"
        "<Mode>SCIENCE</Mode></ProjectSummary><ProcessingRequests><ProcessingRequest><ProcessingIntents/>"
        f"<ProcessingProcedure><ProcedureTitle>hifv</ProcedureTitle>{listed}</ProcessingProcedure>"
        f"<DataSet>{identifiers}<RelativePath>{relative_path}</RelativePath></DataSet>"
        "</ProcessingRequest></ProcessingRequests></SciPipeRequest>"
    )


@dataclass(frozen=True)
class Run:
    """A run directory after the pipeline has run in it."""

    root: Path
    exit_status: int
    output: str

    @property
    def working(self) -> Path:
        return self.root / "working"

    @property
    def products(self) -> Path:
        return self.root / "products"

    @property
    def errorexits(self) -> list[Path]:
        return sorted(self.working.glob("errorexit-*.txt"))

    @property
    def html(self) -> Path:
        (html,) = self.working.glob("pipeline-*/html")
        return html

    @property
    def manifest(self) -> Any:
        return etree.parse(self.products / "unknown.hifv.pipeline_manifest.xml").getroot()

    @property
    def aqua_report(self) -> Any:
        return etree.parse(self.products / "pipeline_aquareport.xml").getroot()

    @property
    def scores(self) -> dict[str, str]:
        """The scores by stage, as the weblog's table of stages names them."""
        stages = self.aqua_report.iterfind("QaPerStage/Stage")
        return {stage.get("Name", ""): stage.find("RepresentativeScore").get("Score") for stage in stages}

    def manifest_name(self, element: str) -> str:
        found = self.manifest.find(f".//{element}")
        assert found is not None, f"the manifest has no {element}"
        return found.get("name", "")


def prepare(root: Path, sdm: Path, commands: Iterable[Command], *, files: Mapping[str, str] | None = None) -> None:
    """Make a run directory with its raw data, its PPR, and the files that an analyst would add."""
    working, rawdata = root / "working", root / "rawdata"
    for directory in (working, rawdata, root / "products"):
        directory.mkdir(parents=True)
    (rawdata / EXECUTION_BLOCK).symlink_to(sdm)
    (working / "PPR.xml").write_text(processing_request(commands, relative_path=root.name))
    for name, text in (files or {}).items():
        (working / name).write_text(text)


def run_pipeline(root: Path, *options: str) -> Run:
    """Run the pipeline in a run directory that is prepared, with more options of the `casa` command."""
    return run_with(root, HEURISTICS / "pipeline" / "runvlapipeline.py", *options)


def run_with(root: Path, runner: Path, *options: str) -> Run:
    """Run one of the pipeline's runners in a prepared run directory, with more options of the `casa` command."""
    environment = _environment() | {"SCIPIPE_ROOTDIR": str(root.parent), "SCIPIPE_HEURISTICS": str(HEURISTICS)}
    return _run(root, ["--nogui", "--nologger", "--agg", *options, "-c", str(runner), "PPR.xml"], environment)


def run_script(root: Path, script: str) -> Run:
    """Run a script with the `casa` command in a run's working directory."""
    environment = _environment() | {"SCIPIPE_HEURISTICS": str(HEURISTICS)}
    return _run(root, ["--nogui", "--nologger", "--agg", "-c", script], environment)


def ask_casa(directory: Path, code: str) -> Any:
    """Run a piece of Python in a directory, in CASA's environment; return what it printed last, as JSON."""
    site = str(REPOSITORY / "include" / "casa" / "casasiteconfig.py")
    # CASA's log is where CASA is loaded, and is not to be among what is tested.
    code = f"import json, os, casatasks\nos.chdir({str(directory)!r})\n{code}"
    with tempfile.TemporaryDirectory() as scratch:
        answer = _ask(scratch, code, site)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def _ask(scratch: str, code: str, site: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CASA_PYTHON, "-c", code],
        cwd=scratch,
        env=_environment() | {"CASASITECONFIG": site, "PYTHONPATH": str(REPOSITORY / "include")},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def flux_file_rows(run: Run) -> list[dict[str, str]]:
    with (run.working / "flux.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "SRDP_CASA_PYTHON": str(CASA_PYTHON)}


def _run(root: Path, arguments: list[str], environment: dict[str, str]) -> Run:
    ended = subprocess.run(
        [CASA, *arguments],
        cwd=root / "working",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return Run(root, ended.returncode, ended.stdout)
