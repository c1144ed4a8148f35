"""The restore of a calibration: what it is given, and that it gives what the calibration gave."""

from __future__ import annotations

import runpy
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.calibration_files import apply_call
from tests.sandbox.pipeline.running import VIS, Run, ask_casa, prepare, run_pipeline

from sandbox.pipeline.casa_calls import as_python
from sandbox.pipeline.restore import RestoreError, _arguments, find_products, restore
from sandbox.pipeline.script import restore_script
from sandbox.restoring import compare_visibilities, restore_from_tar
from srdp.domain.archiving.products import tar_members
from srdp.domain.files.packing import Member, pack
from srdp.domain.runs.pipeline_run import RunDirectory

CALTABLES, FLAGS, APPLY = "unknown.session_1.caltables.tgz", f"{VIS}.flagversions.tgz", f"{VIS}.calapply.txt"
MANIFEST = "unknown.hifv.pipeline_manifest.xml"
RELEASE = "6.7.0.31"
TABLE = f"{VIS}.hifv_finalcals.s13.finalBPcal.tbl"
FINAL = f"{VIS}.flagversions/flags.Pipeline_Final"

# --- what it is given, without CASA ----------------------------------------------------------------------------------


def test_apply_list_is_read_as_it_was_written():
    call = {"vis": "a.ms", "gaintable": ["b.tbl", "c's.tbl"], "calwt": False}
    assert _arguments(as_python("applycal", call)) == call


@pytest.mark.parametrize(
    "line", ["applycal(vis=__import__('os').getcwd())", "1", "applycal(", "flagdata(vis='a.ms')", "a.applycal()"]
)
def test_apply_list_is_read_and_not_executed(line: str):
    with pytest.raises(RestoreError, match="The apply list holds a line"):
        _arguments(line)


class Directory:
    """Products and SDM in rawdata/, tables being folders with one file; and a CASA that does as if."""

    def __init__(self, root: Path) -> None:
        self.rawdata = root / "rawdata"
        (self.rawdata / VIS.removesuffix(".ms")).mkdir(parents=True)
        self.manifest()
        self.pack(CALTABLES, f"{TABLE}/table.dat")
        self.pack(FLAGS, f"{FINAL}/table.dat")
        self.apply_list(apply_call(VIS, [TABLE]))
        self.called: list[str] = []

    def manifest(self, **names: str) -> None:
        names = {"caltables": CALTABLES, "finalflags": FLAGS, "applycmds": APPLY, "asdm": VIS} | names
        named = "".join(f'<{element} name="{name}"/>' for element, name in names.items())
        text = f'<piperesults><casaversion name="{RELEASE}"/>{named}</piperesults>'
        (self.rawdata / MANIFEST).write_text(text)

    def pack(self, name: str, *members: str) -> None:
        with tarfile.open(self.rawdata / name, "w:gz") as tar:
            for member in members:
                tar.addfile(tarfile.TarInfo(member))

    def apply_list(self, *calls: dict[str, object]) -> None:
        lines = "".join(as_python("applycal", call) + "\n" for call in calls)
        (self.rawdata / APPLY).write_text(f"# Apply file for {VIS}\n{lines}")

    def restore(self) -> tuple[dict[str, Any], ...]:
        return restore(self.rawdata, find_products(self.rawdata), casa=self._casa)

    def _casa(self, task: str, **_: object) -> None:
        self.called.append(task)
        if task == "importasdm":
            Path(f"{VIS}.flagversions/flags.Original").mkdir(parents=True)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace(version_string=lambda: RELEASE))
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    return Directory(tmp_path)


def test_flags_are_restored_before_the_calibration_is_applied(directory: Directory):
    # CASA does not know the pipeline's words for intents.
    said = {name: value for name, value in apply_call(VIS, [TABLE]).items() if name != "intent"}
    assert directory.restore() == (said,)
    assert directory.called == ["importasdm", "flagmanager", "applycal"]
    assert [path.name for path in Path(f"{VIS}.flagversions").iterdir()] == ["flags.Pipeline_Final"]


_HARMS: dict[str, tuple[Callable[[Directory], object], str]] = {
    "no manifest": (lambda d: (d.rawdata / MANIFEST).unlink(), "there are 0"),
    "two manifests": (lambda d: (d.rawdata / f"x.{MANIFEST}").write_text(""), "there are 2"),
    "torn manifest": (lambda d: (d.rawdata / MANIFEST).write_text("<piperesults>"), "cannot be read"),
    "not made": (lambda d: d.manifest(caltables="Undefined"), "no caltables"),
    "elsewhere": (lambda d: d.manifest(applycmds="../working/a.txt"), "not the name of a file"),
    "no tables": (lambda d: (d.rawdata / CALTABLES).unlink(), "calls its caltables"),
    "no flags": (lambda d: (d.rawdata / FLAGS).unlink(), "calls its finalflags"),
    "no apply list": (lambda d: (d.rawdata / APPLY).unlink(), "calls its applycmds"),
    "empty apply list": (lambda d: d.apply_list(), "is empty"),
    "no window": (
        lambda d: d.apply_list({name: value for name, value in apply_call(VIS, [TABLE]).items() if name != "spw"}),
        "a call without 'spw'",
    ),
    "other data": (lambda d: d.apply_list({"vis": "b.ms", "gaintable": [TABLE]}), "applies no table to"),
    "no SDM": (lambda d: (d.rawdata / VIS.removesuffix(".ms")).rmdir(), "get it from the archive"),
    "flag version left out": (lambda d: d.pack(FLAGS, f"{VIS}.flagversions/flags.x/a"), "no .*Pipeline_Final"),
    "table left out": (lambda d: d.pack(CALTABLES, f"{VIS}.other.tbl/a"), "no .*finalBPcal"),
    "way out of the tar": (lambda d: d.pack(CALTABLES, "../products/a"), "no part of a table"),
    "absolute name": (lambda d: d.pack(CALTABLES, "/tmp/srdp-not-here/a"), "no part of a table"),
}


@pytest.mark.parametrize(("harm", "sentence"), _HARMS.values(), ids=_HARMS)
def test_what_is_missing_is_said_and_nothing_is_applied(
    directory: Directory, harm: Callable[[Directory], object], sentence: str
):
    harm(directory)
    with pytest.raises(RestoreError, match=sentence):
        directory.restore()
    assert "applycal" not in directory.called


_TWO_SESSIONS = """<piperesults><ous name="m"><casaversion name="6.7.0.31"/>
<session name="session_1"><caltables name="1.tgz"/><asdm name="a.ms"><finalflags name="a.f"/><applycmds name="a.txt"/>
</asdm></session><session name="session_2"><caltables name="2.tgz"/>
<asdm name="b.ms"><finalflags name="b.f"/><applycmds name="b.txt"/></asdm>
<asdm name="c.ms"><finalflags name="c.f"/><applycmds name="c.txt"/></asdm></session></ous></piperesults>"""


@pytest.mark.parametrize(
    ("vis", "session", "caltables"),
    [
        ("a.ms", "session_1", "1.tgz"),
        ("b.ms", "session_2", "2.tgz"),
        ("c.ms", "session_2", "2.tgz"),
        ("c.ms", "session_1", "1.tgz"),
    ],
)
def test_data_set_uses_its_flags_and_its_sessions_tables(tmp_path: Path, vis: str, session: str, caltables: str):
    (tmp_path / "m.pipeline_manifest.xml").write_text(_TWO_SESSIONS)
    for name in ("1.tgz", "2.tgz", *(f"{one}.{kind}" for one in "abc" for kind in ("f", "txt"))):
        (tmp_path / name).touch()
    found = find_products(tmp_path, vis, session)
    root = vis.removesuffix(".ms")
    names = (found.vis, found.caltables.name, found.flag_versions.name, found.apply_list.name)
    assert names == (vis, caltables, f"{root}.f", f"{root}.txt")


@pytest.mark.parametrize(
    ("vis", "session", "unnamed"), [("d.ms", "session_1", r"d\.ms"), ("c.ms", "session_3", "session_3")]
)
def test_unknown_data_set_or_session_is_refused(tmp_path: Path, vis: str, session: str, unnamed: str):
    (tmp_path / "m.pipeline_manifest.xml").write_text(_TWO_SESSIONS)
    with pytest.raises(RestoreError, match=f"does not name {unnamed}"):
        find_products(tmp_path, vis, session)


def test_another_casa_is_refused_before_it_imports(directory: Directory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace(version_string=lambda: "6.7.6.14"))
    with pytest.raises(RestoreError, match=r"made with CASA 6\.7\.0\.31 and this is CASA 6\.7\.6\.14"):
        directory.restore()
    assert directory.called == []


def test_script_sets_weights_only_if_the_run_did():
    call = {"vis": VIS, "field": "N5921_2"}
    assert f"\n    casatasks.statwt(vis='{VIS}', field='N5921_2')\n" in restore_script([call], ocorr_mode="ca")
    assert "ocorr_mode='ca'" in restore_script([], ocorr_mode="ca")
    assert "statwt" not in restore_script([], ocorr_mode="co")
    compile(restore_script([call], ocorr_mode="co"), "casa_piperestorescript.py", "exec")


@pytest.fixture
def tasks(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    """The calls of a script, with a module in the place of casatasks."""
    called: list[tuple[str, dict[str, object]]] = []

    def task(name: str) -> Callable[..., None]:
        def call(**arguments: object) -> None:
            called.append((name, arguments))
            directory._casa(name)

        return call

    names = ("importasdm", "flagmanager", "applycal", "statwt")
    tasks = {name: task(name) for name in names}
    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace(version_string=lambda: RELEASE, **tasks))
    return called


@pytest.mark.parametrize("place", ["products", "rawdata"])
def test_script_finds_products_in_both_places(
    directory: Directory, tasks: list[tuple[str, dict[str, object]]], place: str
):
    script = directory.rawdata.parent / "casa_piperestorescript.py"
    script.write_text(restore_script([{"vis": VIS}], ocorr_mode="ca"))
    (directory.rawdata.parent / "products").mkdir(exist_ok=True)
    for name in (MANIFEST, CALTABLES, FLAGS, APPLY):
        (directory.rawdata / name).rename(directory.rawdata.parent / place / name)
    runpy.run_path(str(script), run_name="__main__")
    assert [name for name, _ in tasks] == ["importasdm", "flagmanager", "applycal", "statwt"]
    assert tasks[0][1]["ocorr_mode"] == "ca"
    assert tasks[-1][1] == {"vis": VIS}


def test_script_ends_with_a_sentence(directory: Directory, tasks: list[tuple[str, dict[str, object]]]):
    script = directory.rawdata.parent / "casa_piperestorescript.py"
    script.write_text(restore_script([{"vis": VIS}], ocorr_mode="co"))
    (directory.rawdata / FLAGS).unlink()
    with pytest.raises(SystemExit, match="calls its finalflags"):
        runpy.run_path(str(script), run_name="__main__")
    assert tasks == []


# --- that it gives what the calibration gave, with CASA --------------------------------------------------------------


@pytest.fixture(scope="module")
def archived(standard_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tar of the standard run, as it would be archived."""
    target = tmp_path_factory.mktemp("archived") / "calibration.tar"
    return pack(tar_members(RunDirectory(standard_run.root)), target.parent, target).path


def with_other(archived: Path, name: str, content: Path, target: Path) -> Path:
    """Return a tar that holds other bytes under one of its names."""
    unpacked = target.parent / "unpacked"
    with tarfile.open(archived) as tar:
        names = tar.getnames()
        tar.extractall(unpacked)
    assert name in names
    shutil.copyfile(content, unpacked / name)
    return pack([Member(other, unpacked / other, unpacked) for other in names], target.parent, target).path


def repacked(archived: Path, name: str, folder: Path) -> Path:
    """Unpacks one of the tars in the tar into a new folder, and returns where :func:`packed` is to put it."""
    with tarfile.open(archived) as tar:
        tar.extract(name, folder.parent)
    with tarfile.open(folder.parent / name) as tar:
        tar.extractall(folder)
    return folder.parent / name


def packed(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as tar:
        for path in folder.iterdir():
            tar.add(path, path.name)
    return target


@pytest.mark.casa
def test_restore_from_the_tar_gives_equal_visibilities(archived: Path, standard_run: Run, sdm: Path, tmp_path: Path):
    restored = restore_from_tar(archived, sdm, tmp_path / "empty")
    assert restored == tmp_path / "empty" / "working" / VIS
    assert compare_visibilities(restored, standard_run.working / VIS) == []


@pytest.mark.casa
def test_one_gain_that_was_changed_shows_in_the_visibilities(
    archived: Path, standard_run: Run, sdm: Path, tmp_path: Path
):
    target = repacked(archived, CALTABLES, tmp_path / "tables")
    changed = ask_casa(
        tmp_path / "tables",
        """
from pathlib import Path
from sandbox.pipeline.tables import open_table
(name,) = Path().glob("*.finalamplitude.tbl")
with open_table(name, writable=True) as table:
    row = next(row for row in range(table.nrows()) if not table.getcell("FLAG", row).any())
    gains = table.getcell("CPARAM", row)
    gains[0] *= 1 + 1e-6
    table.putcell("CPARAM", row, gains)
    print(json.dumps([int(table.getcell("ANTENNA1", row)), int(table.getcell("SCAN_NUMBER", row))]))
""",
    )
    antenna, scan = changed
    tar = with_other(archived, CALTABLES, packed(tmp_path / "tables", target), tmp_path / "changed.tar")
    restored = restore_from_tar(tar, sdm, tmp_path / "empty")
    found = compare_visibilities(restored, standard_run.working / VIS)
    assert [sentence.split(" ", 1)[0] for sentence in found] == ["CORRECTED_DATA"]
    assert f"(scan {scan}, antennas " in found[0]
    assert f" {antenna} " in found[0].partition("antennas")[2].replace(")", " ")


@pytest.mark.casa
def test_flags_of_the_import_in_place_of_the_final_ones_show(
    archived: Path, standard_run: Run, sdm: Path, tmp_path: Path
):
    target = repacked(archived, FLAGS, tmp_path / "flags")
    shutil.rmtree(tmp_path / "flags" / FINAL)
    (tmp_path / "flags" / f"{VIS}.flagversions" / "flags.Original").rename(tmp_path / "flags" / FINAL)
    tar = with_other(archived, FLAGS, packed(tmp_path / "flags", target), tmp_path / "changed.tar")
    restored = restore_from_tar(tar, sdm, tmp_path / "empty")
    found = compare_visibilities(restored, standard_run.working / VIS)
    assert "FLAG" in {sentence.split(" ", 1)[0] for sentence in found}


@pytest.mark.casa
def test_stage_restores_what_the_script_restores(archived: Path, standard_run: Run, sdm: Path, tmp_path: Path):
    root = tmp_path / "run"
    prepare(root, sdm, [("hifv_restoredata", {}), ("hifv_statwt", {}), ("hifv_plotsummary", {})])
    with tarfile.open(archived) as tar:
        for name in (MANIFEST, CALTABLES, FLAGS, APPLY):
            tar.extract(name, root / "products")
    run = run_pipeline(root)
    assert (run.exit_status, run.errorexits) == (0, []), run.output
    assert compare_visibilities(run.working / VIS, standard_run.working / VIS) == []
