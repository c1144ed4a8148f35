from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.programs.casa_contract import install
from tests.real_run import REAL_EB, REAL_RUN

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
PPR = """<SciPipeRequest xmlns="x"><ProjectSummary><ProposalCode>13A-537</ProposalCode><Observatory>NRAO</Observatory>
<Telescope>EVLA</Telescope><ProcessingSite>Socorro</ProcessingSite><Operator>{operator}</Operator><Mode>SCIENCE</Mode>
</ProjectSummary><ProcessingRequests><ProcessingRequest><ProcessingIntents/><ProcessingProcedure>
<ProcedureTitle>hifv</ProcedureTitle>
<ProcessingCommand><Command>hifv_importdata</Command><ParameterSet/></ProcessingCommand>
<ProcessingCommand><Command>hifv_priorcals</Command>{parameters}</ProcessingCommand>
<ProcessingCommand><Command>hifv_exportdata</Command><ParameterSet/></ProcessingCommand>
</ProcessingProcedure><DataSet><SdmIdentifier>{eb}</SdmIdentifier><RelativePath>{run}</RelativePath></DataSet>
</ProcessingRequest></ProcessingRequests></SciPipeRequest>"""


def call(casa, run, *, parameters="<ParameterSet/>", eb=EB, operator="vlapipe"):
    for name in ("working", "rawdata", "products"):
        (run / name).mkdir(parents=True, exist_ok=True)
    (run / "rawdata" / EB).mkdir(exist_ok=True)
    (run / "working" / "PPR.xml").write_text(PPR.format(parameters=parameters, eb=eb, run=run.name, operator=operator))
    script = casa.heuristics / "pipeline" / "runvlapipeline.py"
    return subprocess.run(
        [casa.casa, "--nogui", "--nologger", "--agg", "-c", script, "PPR.xml"],
        cwd=run / "working",
        env={"PATH": os.defpath, "SCIPIPE_HEURISTICS": str(casa.heuristics), "SCIPIPE_ROOTDIR": str(run.parent)},
        check=False,
        capture_output=True,
        text=True,
    )


def log_of(run):
    """What CASA has logged, in the file whose name is the time of its start."""
    return "".join(log.read_text() for log in (run / "working").glob("casa-????????-??????.log"))


def test_a_run_leaves_the_products_of_a_vla_run_under_their_names(tmp_path):
    casa = install(tmp_path / "casa")
    result = call(casa, tmp_path / "run")
    assert (result.returncode, result.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "run" / "products").iterdir()} == {
        "unknown.hifv.pprequest.xml",
        "weblog.tgz",
        "unknown.hifv.pipeline_manifest.xml",
        "pipeline_aquareport.xml",
        "casa_commands.log",
        "casa_pipescript.py",
        "casa_piperestorescript.py",
        "unknown.hifv.auxproducts.tgz",
        "unknown.session_1.caltables.tgz",
        f"{EB}.ms.flagversions.tgz",
        f"{EB}.ms.calapply.txt",
        "oussid.3C286_bp.L_band.cont.regcal.I.tt0.pbcor.fits",
    }
    report = ET.fromstring((tmp_path / "run" / "products" / "pipeline_aquareport.xml").read_bytes())  # noqa: S314  what this test made
    assert [stage.get("Name") for stage in report.iterfind("QaPerStage/Stage")] == ["hifv_importdata", "hifv_priorcals"]
    assert len(casa.starts()) == 1
    assert not list((tmp_path / "run" / "working").glob("errorexit-*"))


def test_a_command_without_parameters_drops_itself_and_what_follows_and_the_run_succeeds(tmp_path):
    casa = install(tmp_path / "casa")
    assert call(casa, tmp_path / "run", parameters="").returncode == 0
    assert not list((tmp_path / "run" / "products").iterdir())
    assert not list((tmp_path / "run" / "working").glob("errorexit-*"))


def test_an_empty_sdm_list_leaves_nothing_but_an_errorexit_file(tmp_path):
    casa = install(tmp_path / "casa")
    result = call(casa, tmp_path / "run", eb="</SdmIdentifier><SdmIdentifier>")
    assert result.returncode == 0
    (errorexit,) = (tmp_path / "run" / "working").glob("errorexit-*.txt")
    assert errorexit.stat().st_size == 0


def test_a_number_in_the_summary_ends_it_with_nothing_but_words_on_stderr(tmp_path):
    casa = install(tmp_path / "casa")
    result = call(casa, tmp_path / "run", operator="007")
    assert result.returncode == 1
    assert "TypeError" in result.stderr
    assert not list((tmp_path / "run" / "working").glob("errorexit-*"))
    assert not list((tmp_path / "run" / "products").iterdir())


def test_a_comment_in_a_text_of_the_summary_is_refused_in_order(tmp_path):
    casa = install(tmp_path / "casa")
    result = call(casa, tmp_path / "run", operator="vla<!-- who -->pipe")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list((tmp_path / "run" / "working").glob("errorexit-*"))) == 1


READS = """<ParameterSet/></ProcessingCommand>
<ProcessingCommand><Command>{stage}</Command><ParameterSet>{reported}</ParameterSet>"""
REPORTED = "<Parameter><Keyword>{}</Keyword><Value>{}</Value></Parameter>"


@pytest.mark.parametrize(
    ("stage", "reported", "file", "read"),
    [
        ("hifv_flagdata", "", f"{EB}.flagtemplate.txt", True),
        ("hifv_flagdata", REPORTED.format("template", "False"), f"{EB}.flagtemplate.txt", False),
        ("hifv_priorcals", "", "antennapos.csv", False),
        ("hif_antpos", "", "antennapos.csv", False),
        ("hif_antpos", REPORTED.format("hm_antpos", "file"), "antennapos.csv", True),
        ("hifv_checkflag", REPORTED.format("checkflagmode", "target-vla"), "cont.dat", True),
        ("hifv_checkflag", REPORTED.format("checkflagmode", "bpd-vla"), "cont.dat", False),
        ("hifv_statwt", "", "cont.dat", True),
    ],
)
def test_a_file_of_an_analyst_counts_if_a_stage_reads_it(tmp_path, stage, reported, file, read):
    casa = install(tmp_path / "casa")

    def calibration(name, content):
        (tmp_path / name / "working").mkdir(parents=True)
        if content:
            (tmp_path / name / "working" / file).write_text(content)
        result = call(casa, tmp_path / name, parameters=READS.format(stage=stage, reported=reported))
        assert (result.returncode, result.stderr) == (0, "")
        return gzip.decompress((tmp_path / name / "products" / "unknown.session_1.caltables.tgz").read_bytes())

    assert (calibration("one", "of an analyst") != calibration("other", "of another")) is read


def test_a_held_stage_waits_until_it_is_released(tmp_path):
    casa = install(tmp_path / "casa")
    casa.behave(hold_at="hifv_priorcals")
    run = tmp_path / "run"
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(call, casa, run)
        deadline = time.monotonic() + 30
        while "Starting execution for stage 2" not in log_of(run):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not result.done()
        (run / "working" / "release").touch()
        assert result.result(timeout=30).returncode == 0
    assert (run / "products" / "weblog.tgz").is_file()


def test_another_form_of_the_call_is_refused(tmp_path):
    casa = install(tmp_path / "casa")
    result = subprocess.run([casa.casa, "--nogui", "-c", "x", "PPR.xml"], check=False, capture_output=True)
    assert result.returncode != 0
    assert casa.starts() == []


@pytest.mark.parametrize(
    ("behaviour", "code", "errorexits", "said"),
    [
        ({}, 0, 0, ""),
        ({"fail_at": "hifv_priorcals"}, 0, 1, ""),
        ({"break_runner": True}, 1, 0, "ModuleNotFoundError: No module named 'pipeline.runvlapipeline'"),
    ],
    ids=["well", "a failed stage", "a runner that cannot be imported"],
)
def test_a_vla_run_ends_as_the_real_one_does(tmp_path, behaviour, code, errorexits, said):
    casa = install(tmp_path / "casa")
    casa.behave(**behaviour)
    result = call(casa, tmp_path / "run")
    assert result.returncode == code
    assert result.stderr.strip().endswith(said)
    assert len(list((tmp_path / "run").rglob("errorexit-*.txt"))) == errorexits


def test_the_files_have_the_shape_of_the_real_ones(tmp_path):
    """... element by element; the contract's own leave out attributes that nobody may depend on."""
    casa = install(tmp_path / "casa")
    call(casa, tmp_path / "run")
    products = tmp_path / "run" / "products"
    for mine, real in (
        ("unknown.hifv.pipeline_manifest.xml", "unknown.hifv.pipeline_manifest.xml"),
        ("pipeline_aquareport.xml", "pipeline_aquareport.xml"),
    ):
        assert paths_in(products / mine) <= paths_in(REAL_RUN / "vla" / real)
    assert paths_in(REAL_RUN / "vla" / "unknown.hifv.pipeline_manifest.xml") == paths_in(
        products / "unknown.hifv.pipeline_manifest.xml"
    )
    remark, call_of_mine = (products / f"{EB}.ms.calapply.txt").read_text().splitlines()
    real_remark, real_call = (REAL_RUN / "vla" / f"{REAL_EB}.ms.calapply.txt").read_text().splitlines()
    assert remark.removesuffix(f"{EB}.ms") == real_remark.removesuffix(f"{REAL_EB}.ms")
    assert re.findall(r"(\w+)=", call_of_mine) == re.findall(r"(\w+)=", real_call)


def paths_in(document):
    """The paths of all elements of an XML file."""
    found = set()

    def walk(element, above):
        path = f"{above}/{element.tag}"
        found.add(path)
        for child in element:
            walk(child, path)

    walk(ET.fromstring(document.read_bytes()), "")  # noqa: S314  the project's own test data
    return found


ARCHIVED = Path(__file__).parents[2] / "include" / "templates" / "mail" / "archived.txt"
GUIDE = Path(__file__).parents[2] / "docs" / "restore.md"


@pytest.mark.parametrize("reported_in", [ARCHIVED, GUIDE], ids=["the mail", "the guide"])
def test_the_command_that_people_are_reported_restores_a_calibration(tmp_path, reported_in):
    casa = install(tmp_path / "casa")
    run = tmp_path / "run"
    call(casa, run)
    shutil.rmtree(run / "working")
    (run / "working").mkdir()
    (command,) = re.findall(r"^ *casa (--.*piperestorescript\.py)$", reported_in.read_text(), re.MULTILINE)

    def restore(arguments):
        return subprocess.run(
            [casa.casa, *shlex.split(arguments)], cwd=run / "working", check=False, capture_output=True, text=True
        )

    refused = restore(command.replace("--pipeline ", ""))
    assert (refused.returncode, "name 'hifv_restoredata' is not defined" in refused.stderr) == (1, True)
    done = restore(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert (run / "working" / f"{EB}.ms").is_dir()
