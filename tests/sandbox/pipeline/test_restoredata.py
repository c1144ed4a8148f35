"""The restore of a MOUS of two sessions, as far as it can be had without CASA."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.calibration_files import apply_call
from tests.sandbox.pipeline.alma import IMAGING_RECIPE, MOUS, alma_request

from sandbox.pipeline.casa_calls import as_python
from sandbox.pipeline.context import Context, Directories, now
from sandbox.pipeline.manifest import Calibrated, Products, Versions, write_manifest
from sandbox.pipeline.ppr import read_alma_request
from sandbox.pipeline.restore import RestoreError
from sandbox.pipeline.stages import restoredata

RELEASE = "6.7.0.31"
ONE, TWO, THREE = UIDS = tuple(f"uid://A002/Xd5a7c2/X{number}" for number in (1, 2, 3))
ASDMS = {uid: uid.replace(":", "_").replace("/", "_") for uid in UIDS}
#: As the calibration has them: the first is of a session of its own.
SESSIONS = {"SESSION_1": ONE, "SESSION_2": f"{TWO} | {THREE}"}


def table(asdm: str) -> str:
    return f"{asdm}.ms.hifa_bandpass.s1_2.tbl"


def pack(path: Path, *members: str) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(tarfile.TarInfo(f"{member}/table.dat"), io.BytesIO())
    return path.name


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory with three ASDMs and the products of their calibration, and what stands in for CASA."""
    for name in ("working", "products", *(f"rawdata/{asdm}" for asdm in ASDMS.values())):
        (tmp_path / name).mkdir(parents=True)
    rawdata = tmp_path / "rawdata"
    one, two, three = ASDMS.values()
    caltables = {
        "session_1": pack(rawdata / f"{MOUS}.session_1.caltables.tgz", table(one)),
        "session_2": pack(rawdata / f"{MOUS}.session_2.caltables.tgz", table(two), table(three)),
    }
    calibrated = []
    for asdm in ASDMS.values():
        vis, session = f"{asdm}.ms", "session_1" if asdm == one else "session_2"
        flags = pack(rawdata / f"{vis}.flagversions.tgz", f"{vis}.flagversions/flags.Pipeline_Final")
        calls = rawdata / f"{vis}.calapply.txt"
        calls.write_text(as_python("applycal", apply_call(vis, [table(asdm)])) + "\n")
        calibrated.append(Calibrated(vis, caltables[session], flags, calls.name, session))
    write_manifest(
        rawdata / f"{MOUS}.hifa_calimage.pipeline_manifest.xml",
        Products(tuple(calibrated), (), {}),
        procedure="hifa_calimage",
        versions=Versions(RELEASE, "sandbox-1.0"),
        ous=MOUS,
    )
    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace(version_string=lambda: RELEASE))
    monkeypatch.setattr(restoredata, "read_observation", lambda vis: vis)
    monkeypatch.setattr(restoredata, "flagged_parts", lambda *_: SimpleNamespace(total=0.0))
    monkeypatch.chdir(tmp_path / "working")
    return tmp_path


def restore(root: Path, sessions: dict[str, str], **parameters: bool) -> list[tuple[str, str]]:
    """Run the stage with a request of these sessions; return the calls of CASA, by task and measurement set."""
    ppr, called = root / "working" / "PPR.xml", []
    ppr.write_text(alma_request(IMAGING_RECIPE, asdms=ASDMS, sessions=sessions))
    directories = Directories(root / "working", root / "rawdata", root / "products")
    context = Context(request=read_alma_request(ppr), directories=directories, started=now())

    def casa(task: str, *, vis: str, **_: object) -> None:
        called.append((task, vis))
        if task == "importasdm":
            Path(f"{vis}.flagversions").mkdir()

    context.casa = casa
    restoredata.hifa_restoredata(context, **parameters)
    return called


@pytest.mark.parametrize("copytoraw", [False, True])
def test_every_asdm_is_restored_from_the_tables_of_its_session(root: Path, copytoraw: bool):
    if copytoraw:
        for path in [path for path in (root / "rawdata").iterdir() if path.is_file()]:
            path.rename(root / "products" / path.name)
    called = restore(root, SESSIONS, copytoraw=copytoraw)
    tasks = ("importasdm", "flagmanager", "applycal")
    assert called == [(task, f"{asdm}.ms") for asdm in ASDMS.values() for task in tasks]
    assert len(list((root / "rawdata").glob("*.caltables.tgz"))) == 2


_WRONG = {
    "all in the first": {"SESSION_1": " | ".join(UIDS)},
    "swapped": {"SESSION_1": f"{TWO} | {THREE}", "SESSION_2": ONE},
    # What another ASDM of the session brought along does not help.
    "one in the other": {"SESSION_1": f"{ONE} | {THREE}", "SESSION_2": TWO},
    "one in none": {"SESSION_1": ONE, "SESSION_2": TWO},
    "a gap": {"SESSION_1": ONE, "SESSION_3": f"{TWO} | {THREE}"},
}


@pytest.mark.parametrize("sessions", _WRONG.values(), ids=_WRONG)
def test_wrong_sessions_name_the_missing_tables(root: Path, sessions: dict[str, str]):
    sentence = r"session_([12])\.caltables\.tgz holds no uid.*\.tbl: .* with the tables of session_\1, in which"
    with pytest.raises(RestoreError, match=sentence):
        restore(root, sessions, copytoraw=False)


def test_a_session_that_the_calibration_has_not_is_said(root: Path):
    with pytest.raises(RestoreError, match=r"does not name session_3: the calibration has none"):
        restore(root, {"SESSION_1": ONE, "SESSION_2": TWO, "SESSION_3": THREE}, copytoraw=False)
    assert not list((root / "working").glob("*.flagversions"))
