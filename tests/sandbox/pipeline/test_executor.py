"""What runs, where, in which order, and what becomes of a failure; without CASA."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.sandbox.pipeline.running import Command, processing_request

from sandbox.pipeline.context import Context, directories_of
from sandbox.pipeline.executor import PipelineError, execute
from sandbox.pipeline.results import Score, StageResult


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """CASA's log, as far as the executor needs CASA."""
    lines: list[str] = []
    origin = ["casa"]

    def post(message: str, priority: str = "INFO", module: str = "") -> None:
        for number, line in enumerate(message.splitlines()):
            lines.append(f"now\t{priority}\t{origin[0]}::{module}::casa{'+' if number else ''}\t{line}")

    casalog = SimpleNamespace(origin=lambda name: origin.__setitem__(0, name), post=post, logfile=lambda: "/dev/null")
    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace(casalog=casalog))
    return lines


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]) -> Path:
    directory = tmp_path / "area" / "run" / "working"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("SCIPIPE_ROOTDIR", str(tmp_path / "area"))
    return directory


class Stages(dict):
    """Stages that write down that they ran."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, dict[str, object]]] = []
        self["first"] = self.stage("first")
        self["second"] = self.stage("second")

    def stage(self, name: str):
        def run(context: Context, /, *, number: int = 0, word: str = "") -> StageResult:
            self.ran.append((name, {"number": number, "word": word}))
            return StageResult(score=lambda: Score(1.0, "it ran"))

        return run


def run(working: Path, commands: list[Command], stages: Stages | None = None, **options: object) -> Stages:
    stages = stages or Stages()
    (working / "PPR.xml").write_text(processing_request(commands, **options))
    execute(Path("PPR.xml"), stages)
    return stages


def errorexits(working: Path) -> list[Path]:
    return list(working.glob("errorexit-*.txt"))


def test_runs_what_the_request_names_in_its_order(working: Path):
    stages = run(working, [("second", {"number": "016", "word": "None"}), ("first", {}), ("second", {})])
    assert [name for name, _ in stages.ran] == ["second", "first", "second"]
    assert stages.ran[0][1] == {"number": 16, "word": "None"}
    assert not errorexits(working)


def test_dropped_commands_do_not_run_and_the_run_succeeds(working: Path):
    text = processing_request([("first", {}), ("second", {})])
    cut = text.replace("<Command>second</Command><ParameterSet></ParameterSet>", "<Command>second</Command>")
    assert cut != text
    (working / "PPR.xml").write_text(cut)
    stages = Stages()
    execute(Path("PPR.xml"), stages)
    assert [name for name, _ in stages.ran] == ["first"]
    assert not errorexits(working)


@pytest.mark.parametrize(
    ("commands", "options"),
    [
        ([("first", {})], {"sdms": 0}),
        ([("first", {})], {"sdms": 2}),
        ([], {}),
        ([("first", {})], {"relative_path": ""}),
    ],
)
def test_nothing_to_run_returns_normally_with_an_empty_errorexit(working: Path, commands, options):
    assert run(working, commands, **options).ran == []
    (file,) = errorexits(working)
    assert file.stat().st_size == 0


def test_missing_relative_path_leaves_errorexit_in_working(working: Path):
    assert run(working, [("first", {})], relative_path="elsewhere").ran == []
    assert len(errorexits(working)) == 1


def test_failed_stage_ends_the_run(working: Path, log: list[str]):
    stages = Stages()

    def fails(context: Context, /) -> StageResult:
        raise RuntimeError("the dish is full of snow")

    stages["fails"] = fails
    run(working, [("first", {}), ("fails", {}), ("second", {})], stages)
    assert [name for name, _ in stages.ran] == ["first"]
    (file,) = errorexits(working)
    assert file.name.startswith("errorexit-2")
    basetask = "pipeline::pipeline.infrastructure.basetask::casa"
    begin = log.index("now\tINFO\tfails::::casa\tExecuting command ...fails")
    assert log[begin + 1 : begin + 5] == [
        f"now\tINFO\t{basetask}\tStarting execution for stage 2",
        f"now\tINFO\t{basetask}\tEquivalent Pipeline CLI call: fails()",
        f"now\tSEVERE\t{basetask}\tError executing pipeline task fails.",
        f"now\tSEVERE\t{basetask}\tTraceback (most recent call last):",
    ]
    assert f"now\tSEVERE\t{basetask}+\tRuntimeError: the dish is full of snow" in log
    assert "now\tINFO\tpipeline::::casa\tUnhandled error in executevlappr while running pipeline task fails" in log
    assert log[-1] == "now\tINFO\tpipeline::::casa\tTerminating procedure execution ..."


@pytest.mark.parametrize("command", [("third", {}), ("first", {"colour": "red"}), ("first", {"context": "1"})])
def test_unknown_task_or_parameter_fails(working: Path, command: Command):
    assert run(working, [command, ("second", {})]).ran == []
    assert len(errorexits(working)) == 1


def test_failed_stage_of_alma_raises_behind_the_errorexit(working: Path):
    reported: list[Path] = []
    stages = {"fails": lambda _: 1 / 0}
    (working / "PPR.xml").write_text(processing_request([("fails", {})]))
    with pytest.raises(PipelineError, match="ZeroDivisionError"):
        execute(Path("PPR.xml"), stages, on_failure=lambda _, errorexit: reported.append(errorexit))
    assert reported == errorexits(working)


def test_number_in_the_summary_ends_it_without_a_trace(working: Path):
    text = processing_request([("first", {})])
    (working / "PPR.xml").write_text(text.replace("<Operator>vlapipe<", "<Operator>007<"))
    with pytest.raises(TypeError):
        execute(Path("PPR.xml"), Stages())
    assert not errorexits(working)
    assert not list(working.glob("pipeline-*"))


def test_breakpoint_is_skipped_and_not_counted(working: Path, log: list[str]):
    stages = run(working, [("first", {}), ("breakpoint", {}), ("second", {})])
    assert [name for name, _ in stages.ran] == ["first", "second"]
    begin = log.index("now\tINFO\tsecond::::casa\tExecuting command ...second")
    assert log[begin + 1].endswith("\tStarting execution for stage 2")
    assert not errorexits(working)


def test_data_of_the_request_are_not_replaced_by_a_parameter(working: Path):
    stages = Stages()
    stages["hifv_importdata"] = stages["first"]
    run(working, [("hifv_importdata", {"vis": "other", "session": "x", "number": "3"})], stages)
    assert stages.ran == [("first", {"number": 3, "word": ""})]


def test_scorer_that_fails_does_not_fail_the_stage(working: Path, log: list[str]):
    stages = Stages()

    def unscored(context: Context, /) -> StageResult:
        return StageResult(score=lambda: Score(1 / 0, ""))

    stages["unscored"] = unscored
    run(working, [("unscored", {}), ("second", {})], stages)
    assert [name for name, _ in stages.ran] == ["second"]
    assert any("score -0.1" in message for message in log)


def test_root_directory_and_relative_path_decide(tmp_path: Path):
    directories = directories_of("some/run", {"SCIPIPE_ROOTDIR": str(tmp_path)})
    assert directories.working == tmp_path / "some" / "run" / "working"
    assert directories.rawdata == tmp_path / "some" / "run" / "rawdata"
    assert directories.products == tmp_path / "some" / "run" / "products"


def test_empty_root_directory_is_the_present_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert directories_of("run", {"SCIPIPE_ROOTDIR": ""}).working == tmp_path / "run" / "working"


def test_without_root_directory_the_directories_beside_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "run" / "working").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run" / "working")
    assert directories_of("ignored", {}).working == tmp_path / "run" / "working"


def test_link_that_stands_for_the_run_directory_is_not_followed(tmp_path: Path, working: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "former").symlink_to(working.parent)
    directories = directories_of("former", {"SCIPIPE_ROOTDIR": str(tmp_path / "root")})
    assert directories.working == tmp_path / "root" / "former" / "working"


def test_run_through_a_link_works_in_its_target(tmp_path: Path, working: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "former").symlink_to(working.parent)
    monkeypatch.setenv("SCIPIPE_ROOTDIR", str(tmp_path / "root"))
    run(working, [("first", {})], relative_path="former")
    assert list(working.glob("pipeline-*/html/t1-1.html"))
    assert Path.cwd().samefile(working)


def test_weblog_shows_a_failure_and_escapes_what_it_shows(working: Path):
    stages = Stages()

    def fails(context: Context, /) -> StageResult:
        raise RuntimeError("<script>alert(1)</script>")

    stages["fails"] = fails
    run(working, [("fails", {})], stages)
    (front,) = working.glob("pipeline-*/html/t1-1.html")
    text = front.read_text()
    assert "Stage 1 failed" in text
    assert "<script>alert" not in text
