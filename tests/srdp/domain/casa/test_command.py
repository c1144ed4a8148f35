from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from srdp.domain.casa.command import casa_command, casa_environment, casa_job_name, link_pipeline_root
from srdp.domain.common.errors import InvalidInput, SettingsError
from srdp.domain.files.spool_files import NotTheServicesOwn
from srdp.domain.runs.pipeline_run import RunDirectory

RUN = "vla-20261122-182453-4f7k"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "heuristics" / "pipeline").mkdir(parents=True)
    (tmp_path / "heuristics" / "pipeline" / "runvlapipeline.py").touch()
    (tmp_path / "casa").touch(mode=0o755)
    return tmp_path


def command(place, **changes):
    given = {
        "casa": place / "casa",
        "arguments": ("--nogui", "--nologger", "--agg"),
        "heuristics": place / "heuristics",
        "runner": "runvlapipeline.py",
        "processing_request": place / "working" / "PPR.xml",
    }
    return casa_command(**{**given, **changes})


def test_with_mpi_casa_is_called_by_the_mpicasa_beside_it(place):
    with pytest.raises(SettingsError, match="mpicasa is not an executable file, but 8 MPI processes are set"):
        command(place, mpi_processes=8)
    mpicasa = place / "mpicasa"
    mpicasa.touch(mode=0o755)
    assert command(place, mpi_processes=8) == (str(mpicasa), "-n", "8", *command(place))


def test_casa_is_called_as_the_observatory_calls_it(place):
    assert command(place) == (
        str(place / "casa"),
        "--nogui",
        "--nologger",
        "--agg",
        "-c",
        str(place / "heuristics" / "pipeline" / "runvlapipeline.py"),
        "PPR.xml",
    )


@pytest.mark.parametrize("runner", ["", "../x.py", "x.sh", "a b.py", "x.py\n", "/x.py", "é.py"])
def test_a_runner_is_a_name_and_not_a_path(place, runner):
    with pytest.raises(InvalidInput, match="not the name of a pipeline runner"):
        command(place, runner=runner)


def test_a_wrong_setting_is_named(place):
    with pytest.raises(SettingsError, match="set SRDP_CASA"):
        command(place, casa=place / "heuristics")
    (place / "casa").chmod(0o644)
    with pytest.raises(SettingsError, match="set SRDP_CASA"):
        command(place)
    (place / "casa").chmod(0o755)
    with pytest.raises(SettingsError, match="set SRDP_SCIPIPE_HEURISTICS"):
        command(place, heuristics=place)


def test_pipeline_finds_its_root_in_the_environment():
    assert casa_environment(heuristics=Path("/h"), pipeline_root=Path("/r")) == {
        "SCIPIPE_HEURISTICS": "/h",
        "SCIPIPE_ROOTDIR": "/r",
    }


def test_jobs_are_named_after_run_and_attempt():
    assert casa_job_name(RUN) == f"{RUN}.casa1"
    assert casa_job_name(RUN, 2) == f"{RUN}.casa2"
    with pytest.raises(InvalidInput):
        casa_job_name("../x")


@pytest.mark.parametrize("relative", [RUN, "vla-20200101-000000-old0", "2013/13A-537/old name"])
def test_any_relative_path_works_in_the_runs_directory(tmp_path, relative):
    directory = RunDirectory(tmp_path / "processing" / RUN)
    directory.working.mkdir(parents=True)
    (tmp_path / "spool").mkdir()
    root = link_pipeline_root(tmp_path / "spool" / RUN, PurePosixPath(relative), directory)
    assert root == tmp_path / "spool" / RUN / "scipipe_root"
    assert (root / relative / "working").resolve() == directory.working
    assert [path for path in root.rglob("*") if not path.is_dir() or path.is_symlink()] == [root / relative]
    before = (root / relative).lstat()
    assert link_pipeline_root(tmp_path / "spool" / RUN, PurePosixPath(relative), directory) == root
    assert (root / relative).lstat() == before, "a repeat changes nothing"


def test_a_link_to_another_place_is_replaced(tmp_path):
    spool, old, new = tmp_path / "spool", RunDirectory(tmp_path / "old"), RunDirectory(tmp_path / "new")
    link_pipeline_root(spool, PurePosixPath("x"), old)
    root = link_pipeline_root(spool, PurePosixPath("x"), new)
    assert (root / "x").readlink() == new.root


@pytest.mark.parametrize("relative", ["", ".", "..", "../x", "/etc", "a/../../b", "x" * 256, "x/" * 513])
def test_a_relative_path_stays_below_the_root(tmp_path, relative):
    with pytest.raises(InvalidInput, match="RelativePath"):
        link_pipeline_root(tmp_path, PurePosixPath(relative), RunDirectory(tmp_path))
    assert not list(tmp_path.iterdir())


def test_unmounted_spool_is_not_made_and_links_not_followed(tmp_path):
    directory, area = RunDirectory(tmp_path / "processing" / RUN), tmp_path / "spool"
    with pytest.raises(FileNotFoundError):
        link_pipeline_root(area / RUN, PurePosixPath("x"), directory)
    area.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (area / RUN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotTheServicesOwn, match="symbolic link"):
        link_pipeline_root(area / RUN, PurePosixPath("x"), directory)
    assert not list((tmp_path / "elsewhere").iterdir())
