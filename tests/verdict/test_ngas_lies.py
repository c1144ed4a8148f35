"""NGAS lies in every way that is known: nothing is wrongly marked, nothing is wrongly deleted.

Afterwards it continues where it stopped, once NGAS says the truth again, or what NGAS has is put right by its
operators; and where that cannot be, the verdict is withdrawn and given again.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.ingesting import NOTES
from tests.verdict.family import PASS, RunFamily

from sandbox.ngas.store import Received, StoredFile
from srdp.domain.archiving import upload as archive_upload
from srdp.domain.archiving.ingest import place_to_send
from srdp.domain.ngas.client import NgasClient
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.domain.runs.states import RunState

pytestmark = pytest.mark.servers

SENTENCE = (
    "The data products are not in the archive, please wait and try again. If failures are repeated, please file an SSA "
    "ticket."
)
# What a family calls the tar, and what is neither the first nor the last file where there are more than two.
TAR, MIDDLE, WEBLOG = "{tar}.tar", "{middle}", "weblog.tgz"
STRANGE = b"somebody else's"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_upload, "RECEIVER", RequestRetryPolicy(attempts=2, first_wait_seconds=0.01))


@dataclass
class Ngas:
    """The server, as somebody sees it who may do anything to it.

    Attributes:
        family: where it is.
        run: whose files it has.
        right: what should be stored, by id.
    """

    family: RunFamily
    run: PipelineRun
    right: dict[str, bytes] = field(default_factory=dict)

    @property
    def server(self):
        return self.family.observatory.ngas

    def file_id(self, ending: str) -> str:
        middle = "image.0002.fits" if self.family.images else WEBLOG
        return f"{self.run.pipeline_run_id}.{ending.format(tar=self.family.tar, middle=middle)}"

    def learn(self) -> None:
        """Remembers what lies here to be sent."""
        observatory = self.family.observatory
        ingest, directory = observatory.ingest_of(self.run), observatory.directory(self.run)
        for file in observatory.ledger.archived_files.of_ingest(ingest):
            _, path = place_to_send(observatory.settings.areas, directory, ingest, file)
            self.right[file.ngas_file_id] = path.read_bytes()

    def row(self, ending: str) -> StoredFile:
        found = self.server.store.find(self.file_id(ending), 1)
        assert found is not None
        return found

    def write(self, ending: str, data: bytes) -> None:
        """Change what lies on the disk, and no record."""
        path = self.server.store.path(self.row(ending))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def record(self, ending: str, data: bytes) -> None:
        """Change what lies on the disk, and the record with it: consistent, and wrong."""
        row = self.row(ending)
        staged = self.server.store.staging_path()
        staged.write_bytes(data)
        received = Received(staged, len(data), str(zlib.crc32(data)), row.checksum_plugin, row.format, 0.1)
        self.server.store.commit(received, file_id=row.file_id, version=1, volume=row.disk_id)

    def heal(self) -> None:
        """What its operators do: what was lost or damaged is there again, what is somebody else's is gone."""
        self.server.faults.clear()
        with self.server.store._transaction() as index:
            pattern = (f"{self.run.pipeline_run_id}%",)
            index.execute("DELETE FROM ngas_files WHERE file_id LIKE ? AND file_version > 1", pattern)
        for row in self.server.store.like(f"{self.run.pipeline_run_id}%"):
            self.record(row.file_id.removeprefix(f"{self.run.pipeline_run_id}."), self.right[row.file_id])


@dataclass(frozen=True)
class Lie:
    """A way in which NGAS is not to be believed.

    Attributes:
        name: what it is.
        tell: has it happen from now on.
        said: what is said of it, as a regular expression.
    """

    name: str
    tell: Callable[[Ngas], object]
    said: str


def fault(kind: str, said: str, *, ending: str = "*", **options) -> Lie:
    return Lie(
        " ".join([kind, *map(str, options.values()), ending]),
        lambda ngas: ngas.server.faults.add(kind, file_id=f"*{ending}", **options),
        said,
    )


#: It does not serve; what it holds, or will hold, is as it should be.
AWAY = [
    fault("offline", "offline|4015"),
    fault("busy", "cannot serve|503|busy"),
    fault("empty_reply", "failed at"),
    fault("reply_lost", "failed at", command="CHECKFILE"),
    fault("reply_lost", "failed at", command="QUERY"),
]
#: What it has stored of ours is not what its records say, or what they say is not what was sent.
DAMAGED = [
    Lie("a corrupt file, of which CHECKFILE says SUCCESS", lambda ngas: _corrupt(ngas, TAR), "corrupt"),
    Lie("a corrupt weblog", lambda ngas: _corrupt(ngas, WEBLOG), "corrupt"),
    Lie("a file that is gone, of which STATUS says SUCCESS", lambda ngas: _lose(ngas, TAR), "gone|not have"),
    Lie("another file that is gone", lambda ngas: _lose(ngas, MIDDLE), "gone|not have"),
    Lie("a file that is cut off", lambda ngas: ngas.write(TAR, ngas.right[ngas.file_id(TAR)][:-1]), "corrupt"),
    Lie(
        "a file that is cut off, and recorded so", lambda ngas: ngas.record(TAR, ngas.right[ngas.file_id(TAR)][:-1]),
        "something else under",
    ),
    Lie(
        "other bytes of the same size, recorded so",
        lambda ngas: ngas.record(TAR, bytes(len(ngas.right[ngas.file_id(TAR)]))), "something else under",
    ),
    Lie(
        "version 2 from somebody else", lambda ngas: ngas.server.put(ngas.file_id(TAR), STRANGE),
        "something else under",
    ),
    Lie(
        "version 2 of another file from somebody else", lambda ngas: ngas.server.put(ngas.file_id(MIDDLE), STRANGE),
        "something else under",
    ),
]  # fmt: skip


def _corrupt(ngas: Ngas, ending: str) -> None:
    data = ngas.right[ngas.file_id(ending)]
    ngas.write(ending, bytes([data[0] ^ 1]) + data[1:])


def _lose(ngas: Ngas, ending: str) -> None:
    ngas.server.store.path(ngas.row(ending)).unlink()
    status = NgasClient(f"127.0.0.1:{ngas.server.port}").status(ngas.file_id(ending), 1)
    assert (status.succeeded, status.files[0].version) == (True, 1)


def ingest(family: RunFamily, run: PipelineRun, *, dag_run_id: str, end: str = "keep_products", **form) -> None:
    steps = family.dags[PASS]
    for name in steps[: steps.index(end) + 1]:
        family.step(name, run, dag_run_id=dag_run_id, **form)


def fails(family: RunFamily, ngas: Ngas, step: str, said: str, *, dag_run_id: str) -> None:
    """The step fails, the failure is reported, and nothing is marked or lost."""
    run, observatory = ngas.run, family.observatory
    with pytest.raises(AirflowException, match=said):
        observatory.execute(step, run, dag_run_id=dag_run_id)
    # What its task would have left for the leaf.
    (reported, *_) = [
        event.details["sentence"]
        for event in reversed(observatory.ledger.events.of_run(run.pipeline_run_id))
        if event.event in ("step_failed", "step_waits")
    ]
    observatory.report_failure(run, step, reported, dag_run_id=dag_run_id)
    failed = observatory.run(run)
    assert failed.state is RunState.INGEST_FAILED
    assert failed.failure == reported
    assert (observatory.results(run), observatory.files_in_archive(run)) == ([], [])
    family.check_subject(run, calibrated=False)
    tries = range(1, observatory.ingest_of(run).tries + 1)
    keys = observatory.mail_keys(run)
    assert [key for key in keys if not key.startswith("copy_damaged_")] == [
        f"ingest_failed_1_{number}" for number in tries
    ]
    # What the operators of NGAS must repair is reported once, however often it is found.
    assert len(keys) - len(tries) == (1 if re.search("corrupt|gone", reported) else 0)
    family.check_directory(run)


# It lies to an ingest


@pytest.mark.parametrize("lie", AWAY, ids=lambda lie: lie.name)
def test_a_server_that_does_not_serve_fails_the_ingest_which_goes_on_later(family: RunFamily, lie: Lie) -> None:
    run = family.waiting_run()
    ngas = Ngas(family, run)
    ingest(family, run, dag_run_id="manual__1", end="pack_products")
    ngas.learn()
    lie.tell(ngas)
    fails(family, ngas, "archive_products", lie.said, dag_run_id="manual__1")
    ngas.heal()
    ingest(family, run, dag_run_id="manual__2", end="archive_products", qa_flag="Pass")
    lie.tell(ngas)
    fails(family, ngas, "write_archive_metadata", lie.said, dag_run_id="manual__2")
    ngas.server.faults.clear()
    ingest(family, run, dag_run_id="manual__3", qa_flag="Pass")
    family.check_archived(run)


def test_a_reply_to_an_upload_that_is_lost_makes_one_version(family: RunFamily) -> None:
    run = family.waiting_run()
    requests = family.observatory.ngas.requests
    lost = family.observatory.ngas.faults.add("reply_lost", command="ARCHIVE", times=2)
    ingest(family, run, dag_run_id="manual__1")
    assert (lost.hits, requests.count("ARCHIVE")) == (2, family.files)
    family.check_archived(run)


@pytest.mark.parametrize("kind", ["corrupt_stored", "truncate_stored", "delete_stored"])
def test_what_is_damaged_as_soon_as_it_is_stored_is_not_archived(family: RunFamily, kind: str) -> None:
    run = family.waiting_run()
    ngas = Ngas(family, run)
    ingest(family, run, dag_run_id="manual__1", end="pack_products")
    ngas.learn()
    ngas.server.faults.add(kind, command="CHECKFILE", file_id="*.tar", times=1)
    fails(family, ngas, "archive_products", "corrupt or gone", dag_run_id="manual__1")
    # It stays so, and so does the sentence; no second version covers it up.
    ingest(family, run, dag_run_id="manual__2", end="pack_products", qa_flag="Pass")
    fails(family, ngas, "archive_products", "corrupt or gone.*tell the operators of NGAS", dag_run_id="manual__2")
    assert ngas.server.requests.count("ARCHIVE") == 1
    ngas.heal()
    ingest(family, run, dag_run_id="manual__3", qa_flag="Pass")
    assert ngas.server.requests.count("ARCHIVE") == family.files
    family.check_archived(run)


@pytest.mark.parametrize("lie", DAMAGED, ids=lambda lie: lie.name)
def test_what_is_damaged_between_upload_and_commit_is_not_calibrated(family: RunFamily, lie: Lie) -> None:
    run = family.waiting_run()
    ngas = Ngas(family, run)
    ingest(family, run, dag_run_id="manual__1", end="archive_products")
    ngas.learn()
    lie.tell(ngas)
    fails(family, ngas, "write_archive_metadata", lie.said, dag_run_id="manual__1")
    ingest(family, run, dag_run_id="manual__2", end="archive_products", qa_flag="Pass")
    fails(family, ngas, "write_archive_metadata", lie.said, dag_run_id="manual__2")
    ngas.heal()
    ingest(family, run, dag_run_id="manual__3", qa_flag="Pass")
    family.check_archived(run)
    assert ngas.server.requests.count("ARCHIVE") == family.files


@pytest.mark.parametrize("versions", [[STRANGE], [STRANGE, STRANGE]], ids=["version 1", "versions 1 and 2"])
def test_somebody_elses_file_under_our_id_needs_a_withdrawal(family: RunFamily, versions: list[bytes]) -> None:
    run = family.waiting_run()
    observatory, ngas = family.observatory, Ngas(family, run)
    ingest(family, run, dag_run_id="manual__1", end="pack_products")
    for data in versions:
        ngas.server.put(ngas.file_id(TAR), data)
    fails(family, ngas, "archive_products", "something else under.*Ask the operators", dag_run_id="manual__1")
    assert ngas.server.requests.count("ARCHIVE") == 0
    family.withdraw(run)
    ingest(family, run, dag_run_id="manual__2", **{"qa_flag": "Pass", **NOTES})
    assert observatory.run(run).state is RunState.ARCHIVED
    archived = observatory.files_in_archive(run)
    assert {(ngas.file_id(f"2.{TAR}"), 1), (ngas.file_id(f"2.{WEBLOG}"), 1)} <= {file[:2] for file in archived}
    assert [file_id for file_id, _, _ in archived if not file_id.startswith(ngas.file_id("2."))] == []
    assert len(archived) == family.files
    assert len(observatory.results(run)) == 1
    family.step("clean_up", run, dag_run_id="manual__clean")
    assert observatory.run(run).state is RunState.CLEANED


# It lies to a cleanup


def test_a_run_is_kept_as_long_as_ngas_is_lying_and_deleted_when_it_proves_all(
    family: RunFamily, caplog: pytest.LogCaptureFixture
) -> None:
    run = family.waiting_run()
    ngas = Ngas(family, run)
    ingest(family, run, dag_run_id="manual__1", end="archive_products")
    ngas.learn()
    ingest(family, run, dag_run_id="manual__1")
    family.check_archived(run)
    lies = [*DAMAGED, *AWAY, fault("refuse", "403", command="CHECKFILE"), fault("offline", "offline", ending=WEBLOG)]
    for lie in lies:
        caplog.clear()
        lie.tell(ngas)
        operator = family.operator("clean_up", run)
        with caplog.at_level(logging.ERROR), pytest.raises(AirflowFailException) as caught:
            operator.execute(family.observatory.context("clean_up", "manual__clean", operator))
        assert (lie.name, str(caught.value)) == (lie.name, SENTENCE)
        assert re.search(lie.said, caplog.text), (lie.name, caplog.text)
        assert ngas.file_id("") in caplog.text
        assert (lie.name, family.observatory.run(run).state) == (lie.name, RunState.ARCHIVED)
        family.check_directory(run)
        ngas.heal()
    family.step("clean_up", run, dag_run_id="manual__clean")
    family.check_cleaned(run)
