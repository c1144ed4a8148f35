from __future__ import annotations

import os
from pathlib import Path

import pytest

from srdp.domain import staging
from srdp.domain.errors import InvalidInput
from srdp.domain.identifiers import execution_block_name
from srdp.domain.ledger_records import VLA_CALIBRATION
from srdp.domain.staging import file_names, lint_staged, read_staged, staged_names
from srdp.domain.subject import vla_subject

EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")


def test_a_vla_calibration_is_given_its_ppr_and_three_files() -> None:
    assert file_names(VLA_CALIBRATION) == ("PPR.xml", "flagtemplate.txt", "flux.csv", "antennapos.csv")
    assert [staged_names(vla_subject(EB), name) for name in file_names(VLA_CALIBRATION)] == [
        ("PPR.xml",),
        (f"{EB}.flagtemplate.txt",),
        ("flux.csv",),
        ("antennapos.csv",),
    ]


@pytest.mark.parametrize("name", ["flagtargetstemplate.txt", "cont.dat", "../PPR.xml", ""])
def test_what_its_pipeline_does_not_read_has_no_place(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not read by vla_calibration: it reads PPR\.xml, flagtemplate\.txt"):
        staged_names(vla_subject(EB), name)


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "flux.csv"
    assert read_staged(place) is None
    place.write_bytes(b"ms,\r\n\xff\0")
    assert read_staged(place) == b"ms,\r\n\xff\0"


def test_only_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, pipe, link, dangling = (tmp_path / name for name in ("folder", "pipe", "link", "dangling"))
    folder.mkdir()
    os.mkfifo(pipe)
    (tmp_path / "secret").write_text("of somebody else")
    link.symlink_to(tmp_path / "secret")
    dangling.symlink_to(tmp_path / "nothing")
    for place in (folder, pipe, link, dangling):
        with pytest.raises(InvalidInput, match=f"{place.name} is not a regular file"):
            read_staged(place)
    monkeypatch.setattr(staging, "_LARGEST_BYTES", 3)
    (tmp_path / "large").write_bytes(b"1234")
    with pytest.raises(InvalidInput, match="is larger than 3 bytes"):
        read_staged(tmp_path / "large")


def test_every_file_is_linted_and_all_is_said_at_once() -> None:
    bad = {
        "PPR.xml": b"<SciPipeRequest>",
        "flagtemplate.txt": b"mode=manual\n",
        "flux.csv": b"a,b\n",
        "antennapos.csv": b"a,b\n",
    }
    report = lint_staged(bad, subject=vla_subject(EB), working=Path("/lustre/working"))
    assert {finding.file for finding in report.findings} == {
        f"/lustre/working/{name}" for name in ("PPR.xml", f"{EB}.flagtemplate.txt", "flux.csv", "antennapos.csv")
    }


def test_a_ppr_without_the_stage_that_reads_a_given_file_is_a_finding() -> None:
    ppr = b"""<SciPipeRequest><ProcessingRequests><ProcessingRequest><ProcessingProcedure>
<ProcessingCommand><Command>hifv_exportdata</Command><ParameterSet/></ProcessingCommand>
</ProcessingProcedure></ProcessingRequest></ProcessingRequests></SciPipeRequest>"""

    def problems(files: dict[str, bytes]) -> set[str]:
        return {finding.problem for finding in lint_staged(files, subject=vla_subject(EB), working=Path("/w")).findings}

    (problem,) = problems({"PPR.xml": ppr, "flagtemplate.txt": b"antenna='ea18'\n"}) - problems({"PPR.xml": ppr})
    assert "has no stage that reads the flagtemplate.txt" in problem
