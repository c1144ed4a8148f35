from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree as ET

from tests.programs.casa_contract import install

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
        "unknown.hifv.3C286_bp.cont.I.pbcor.fits",
    }
    report = ET.fromstring((tmp_path / "run" / "products" / "pipeline_aquareport.xml").read_bytes())  # noqa: S314  what this test made
    assert [stage.get("Name") for stage in report.iter("Stage")] == ["hifv_importdata", "hifv_priorcals"]
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


def test_a_held_stage_waits_until_it_is_released(tmp_path):
    casa = install(tmp_path / "casa")
    casa.behave(hold_at="hifv_priorcals")
    run = tmp_path / "run"
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(call, casa, run)
        log = run / "working" / "casa.log"
        deadline = time.monotonic() + 30
        while not (log.exists() and "hifv_priorcals" in log.read_text()):
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
