"""Service, pipeline and data analyst with accounts of their own: who may write where, and that the service continues.

The areas and modes are those of ``docs/operator/accounts-and-areas.md``.
"""

from __future__ import annotations

import os
import uuid
import zlib
from pathlib import Path

import pytest
from tests.accounts import Accounts, done_as, missing, owner_and_mode, three_accounts

from srdp.check.casa_account import run_as
from srdp.domain.common.errors import SettingsError
from srdp.domain.disk.delivery import move_directory, move_run_directory
from srdp.domain.disk.group_rights import share_run_directory
from srdp.domain.disk.removal import remove_run_directories
from srdp.domain.disk.run_directory import make_run_directory
from srdp.domain.files.packing import pack, tree
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.files.whole_file import write_whole_file
from srdp.domain.raw_data.linking import link_raw_data, raw_data_differences
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import Areas, RunDirectory, processing_directory, qa_directory
from srdp.domain.runs.run_marker import RunMarker, make_marked_spool
from srdp.engines.account import open_up_as

needs_accounts = [
    pytest.mark.servers, pytest.mark.skipif(bool(missing()), reason=missing() or "there are three accounts")
]  # fmt: skip

RUN, RERUN = PipelineRunId("vla-20261122-182453-4f7k"), PipelineRunId("vla-20261123-182453-4f7k")
MARKERS = {run: RunMarker(run, uuid.uuid4()) for run in (RUN, RERUN)}
RAW = b"visibilities" * 1000


@pytest.fixture
def accounts():
    with three_accounts() as accounts:
        yield accounts


@pytest.fixture
def areas(accounts: Accounts) -> Areas:
    """The areas as accounts-and-areas.md wants them."""
    processing, qa = (accounts.area(name, 0o2750, accounts.group) for name in ("processing", "qa"))
    spool = accounts.area("spool", 0o711)
    return Areas(processing=processing, qa=qa, spool=spool)


def open_and_fetch(areas: Areas, group: str) -> list[str]:
    """What the service does before CASA starts."""
    directory = processing_directory(areas, RUN)
    make_run_directory(directory, MARKERS[RUN], group)
    make_marked_spool(areas.spool / RUN, MARKERS[RUN])
    (directory.rawdata / "eb").mkdir()
    raw = directory.rawdata / "eb" / "Main.bin"
    raw.write_bytes(RAW)
    raw.chmod(0o444)
    write_whole_file(directory.root, directory.processing_request, b"<PPR/>")
    return [
        owner_and_mode(place)
        for place in (directory.root, directory.rawdata, directory.working, directory.products, areas.spool / RUN)
    ]


def calibrate(directory: RunDirectory) -> None:
    """What a pipeline does, with folders and files that only it may read, and a tree that others may not change."""
    os.umask(0o002)  # which the engine sees to
    for place in (directory.working / "pipeline-1" / "html", directory.working / "eb.ms", directory.products):
        place.mkdir(parents=True, exist_ok=True)
        (place / "made").write_text("by the pipeline")
    (directory.working / "private").mkdir(mode=0o700)
    (directory.working / "private" / "cache").write_text("")
    (directory.working / "private" / "cache").chmod(0o600)
    (directory.products / "private.txt").write_text("")
    (directory.products / "private.txt").chmod(0o600)


def tried(act) -> str:
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"


def attempts(areas: Areas, directory: RunDirectory, home: Path) -> dict[str, str]:
    """What nobody but the service may do."""
    raw = directory.rawdata / "eb" / "Main.bin"
    return {
        "write raw data": tried(lambda: raw.open("r+b").close()),
        "put into rawdata": tried((directory.rawdata / "eb" / "x").touch),
        "remove raw data": tried(raw.unlink),
        "make raw data writable": tried(lambda: raw.chmod(0o666)),
        "replace rawdata": tried(lambda: directory.rawdata.rename(directory.working / "rawdata")),
        "rename the run": tried(lambda: directory.root.rename(directory.root.with_name("x"))),
        "change the marker": tried(lambda: (directory.root / ".srdp-run.json").write_text("{}")),
        "make a run": tried((areas.processing / RERUN).mkdir),
        "look into the spool": tried(lambda: list(areas.spool.iterdir())),
        "write into the spool": tried((areas.spool / RUN / "x").touch),
        "read another's home": tried(lambda: list(home.iterdir())),
    }


def edit(directory: RunDirectory) -> None:
    """What a data analyst does in working/ and products/, with an umask of 0002."""
    with directory.processing_request.open("r+") as stream:  # in its place, as some editors do
        stream.write("<PPR>")
    (directory.working / "pipeline-1" / "html" / "made").write_text("by the analyst")
    (directory.working / "pipeline-1" / "made").write_text("")
    (directory.working / "eb.ms" / "made").unlink()
    (directory.working / "notes").mkdir()
    (directory.working / "notes" / "mine").write_text("")
    (directory.products / "selfcal.txt").write_text("")


def go_on(areas: Areas, group: str) -> list[str]:
    """What the service does afterwards: rerun, deliver, pack, keep and remove."""
    here, there = processing_directory(areas, RUN), qa_directory(areas, RUN)
    files = [
        FetchedFile(
            path="eb/Main.bin",
            size_bytes=len(RAW),
            crc32=zlib.crc32(RAW),
            ngas_file_id="x",
            mtime_ns=(here.rawdata / "eb" / "Main.bin").stat().st_mtime_ns,
        )
    ]
    move_run_directory(here, there, MARKERS[RUN])
    again = processing_directory(areas, RERUN)
    make_run_directory(again, MARKERS[RERUN], group)
    make_marked_spool(areas.spool / RERUN, MARKERS[RERUN])
    linked = link_raw_data(there, again, files)
    differences = raw_data_differences(again, linked.files)
    pack(tree(there.root, there.products), areas.spool, areas.spool / RUN / "products.tar")
    (areas.processing / "cache").mkdir()
    move_directory(there.working / "eb.ms", areas.processing / "cache" / "eb.ms")
    removals = [remove_run_directories(areas, MARKERS[run]) for run in (RUN, RERUN)]
    left = [str(each) for removal in removals for each in removal.left]
    return [*differences, *left, *(str(path) for area in (areas.processing, areas.qa) for path in area.glob("*/*"))]


class TestThreeAccounts:
    pytestmark = needs_accounts

    def test_three_accounts_write_and_the_service_manages_all(self, accounts, areas):
        service, group = accounts.service, accounts.group
        directory = processing_directory(areas, RUN)
        assert done_as(service, lambda: open_and_fetch(areas, group)) == [
            f"{service}:{group} 2755", f"{service}:{group} 2755", f"{service}:{group} 2775",
            f"{service}:{group} 2775", f"{service}:{service} 0711",
        ]  # fmt: skip
        done_as(accounts.pipeline, lambda: calibrate(directory))
        done_as(service, lambda: open_up_as(accounts.pipeline, directory.root))
        done_as(accounts.analyst, lambda: edit(directory), umask=0o002)
        home = accounts.folder / service
        for account in (accounts.pipeline, accounts.analyst):
            refused = done_as(account, lambda: attempts(areas, directory, home))
            assert set(refused.values()) == {"PermissionError"}, refused
        kept = areas.processing / "cache" / "eb.ms"
        assert done_as(service, lambda: go_on(areas, group)) == [str(kept)], "nothing but what is kept is left"

    def test_a_service_that_is_no_member_of_the_group_says_so(self, accounts, areas):
        with pytest.raises(
            AssertionError, match=r"SettingsError.*make the account of Airflow's workers a member of it"
        ):
            done_as(accounts.service, lambda: open_and_fetch(areas, "adm"))

    def test_check_runs_casa_as_its_account(self, accounts, areas, settings):
        settings = settings.model_copy(
            update={"processing_area": areas.processing, "spool_area": areas.spool, "analysts_group": accounts.group}
        )
        command, environment = ("/bin/sh", "-c", "id -un; touch x; mkdir -m 0700 y; touch y/z"), {"PATH": os.defpath}

        def check(account=accounts.pipeline, **changes):
            changed = settings.model_copy(update=changes)
            return done_as(accounts.service, lambda: run_as(changed, account, command, environment, 20))

        assert check() == [0, f"{accounts.pipeline}\n", ""]
        with pytest.raises(AssertionError, match=r"cannot write into a run's working/.*set SRDP_ANALYSTS_GROUP"):
            check(analysts_group=None)
        with pytest.raises(AssertionError, match="the account of Airflow's workers itself"):
            check(account=accounts.service)
        assert not list(areas.processing.iterdir())
        areas.spool.chmod(0o700)
        with pytest.raises(AssertionError, match=r"cannot pass through .*chmod 0711"):
            check()
        areas.spool.chmod(0o711)
        accounts.forbid()
        with pytest.raises(AssertionError, match=r"SRDP_CASA_ACCOUNT; sudo said .*a password is required.*in sudoers"):
            check()


def test_an_unknown_group_is_named(tmp_path):
    directory = RunDirectory(tmp_path)
    with pytest.raises(SettingsError, match=r"no group no-such-group on this host.*SRDP_ANALYSTS_GROUP"):
        share_run_directory(directory, "no-such-group")


def test_a_folder_of_a_run_that_is_a_link_is_not_taken_for_one(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / RUN)
    make_run_directory(directory, MARKERS[RUN])
    make_run_directory(directory, MARKERS[RUN])
    directory.working.rename(tmp_path / "elsewhere")
    directory.working.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFile, match="working' is a symbolic link"):
        make_run_directory(directory, MARKERS[RUN])
    assert directory.is_there
    directory.root.rename(tmp_path / "moved")
    assert not directory.is_there
    directory.root.symlink_to("nowhere")
    assert directory.is_there
