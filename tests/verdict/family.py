"""A family of runs: how one is made, by which steps a verdict on it is carried out, and what is there at the end.

The steps are those of the DAGs in their order. Each is made as its task makes it, in a process that may be killed.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import tarfile
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from tests import imaging
from tests.ingesting import FILES, IMAGES, NOTES, STEPS, WEBLOG, Observatory
from tests.killing import Arm, Ended, Running
from tests.mounts import rename_as_between_mounts
from tests.verdict.looking import LEDGER_DATABASE, LOOKING

from srdp.domain.runs.identifiers import disk_name
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory, processing_directory
from srdp.domain.runs.run_marker import MARKER
from srdp.domain.runs.states import RunState
from srdp.operators.base import SrdpOperator
from srdp.operators.cleanup import CleanUpRunOperator
from srdp.operators.fail_qa import FailQaOperator, MarkDoNotCalibrateOperator, RemoveRejectedRunsOperator
from srdp.operators.reconcile import ReconcileRunsOperator
from srdp.operators.reindex import ReindexProjectsOperator
from srdp.operators.withdraw_verdict import WithdrawVerdictOperator

#: The DAG run that gives the verdict first.
FIRST = "manual__first"
_PPR = b"<SciPipeRequest/>"
#: What is read, written and sent at once is made so small that a small product has several blocks.
BLOCK_BYTES = 1 << 16
_LARGE_PRODUCT = os.urandom(2 * BLOCK_BYTES + 1)
_LARGE_PLOT = os.urandom(BLOCK_BYTES * 5 // 4)
#: What the DAGs do; those of each family have names of their own.
PASS, CLEAN, FAIL = "pass", "clean", "fail"


@dataclass(frozen=True)
class Found:
    """What is to be found of a run outside its own process.

    Attributes:
        state: its state.
        in_ngas: which of ``tar`` and ``weblog`` NGAS has; images are between them.
        in_archive: whether the archive's database has its metadata.
    """

    state: RunState
    in_ngas: frozenset[str]
    in_archive: bool


class RunFamily(ABC):
    """A family of runs.

    Args:
        observatory: where they are.

    Attributes:
        observatory: where they are.
        across: whether every directory that is moved goes to another file system.
        files: how many files of an ingest NGAS has.
    """

    #: What its pipeline run IDs begin with.
    name: ClassVar[str]
    #: The kind of its requests.
    kind: ClassVar[str]
    #: The kind of the tar, and the images that NGAS gets after it.
    tar: ClassVar[str]
    images: ClassVar[int]
    #: An antenna that a flag template may name.
    antenna: ClassVar[str]
    #: The DAGs' steps, in their order.
    dags: ClassVar[dict[str, tuple[str, ...]]] = {
        PASS: (*itertools.islice(STEPS, 6), "reindex_project", "keep_products"),
        CLEAN: ("clean_up",),
    }

    def __init__(self, observatory: Observatory) -> None:
        self.observatory = observatory
        observatory.kind = self.kind
        self.files = FILES[self.kind]
        self.across = False
        self._whole: dict[str, dict[str, int]] = {}

    # A run and the verdict on it

    def waiting_run(self, *, subject: str | None = None, asked: int = 1) -> PipelineRun:
        """A run that waits for its verdict, with products that are larger than a block."""

        def finish(run: PipelineRun, directory: RunDirectory) -> None:
            directory.processing_request.write_bytes(_PPR)
            self.observatory.ledger.runs.record_ppr(run.pipeline_run_id, hashlib.sha256(_PPR).hexdigest())
            (directory.products / "of_an_analyst.dat").write_bytes(_LARGE_PRODUCT)
            (directory.working / WEBLOG / "plot.png").write_bytes(_LARGE_PLOT)

        run = self.observatory.waiting_run(subject=subject, asked=asked, finish=finish)
        self._whole[run.pipeline_run_id] = _checksums(self.observatory.directory(run).root)
        return run

    def carry_out(
        self,
        dag: str,
        run: PipelineRun,
        *,
        dag_run_id: str,
        begin: str | None = None,
        arms: dict[str, Arm] | None = None,
        form: dict[str, Any] | None = None,
    ) -> Running:
        """Make the steps of a DAG in a process of its own; it says the name of each when it begins it.

        Args:
            dag: the DAG, by what it does.
            run: the run.
            dag_run_id: the DAG run that makes them.
            begin: the first step that is made.
            arms: what is armed when a step begins; a step that never comes to its point is an error.
            form: what the form says beyond the run; by default all of a first verdict.
        """
        steps = self.dags[dag]

        def act(say: Callable[[str], None]) -> None:
            if self.across:
                Path.rename = rename_as_between_mounts
            for name in steps[steps.index(begin or steps[0]) :]:
                say(name)
                if arms and name in arms:
                    arms[name]()
                self.step(name, run, dag_run_id=dag_run_id, **(form or {}))
                say(f"{name} is done")

        return Running(act)

    def step(self, name: str, run: PipelineRun, *, dag_run_id: str, **form: Any) -> object:
        """Make one step; an error is an ``SrdpError``, as the library raised it."""
        if name in STEPS:
            return self.observatory.step(name, run, dag_run_id=dag_run_id, **(form or {"qa_flag": "Pass", **NOTES}))
        operator = self.operator(name, run)
        return operator.run_step(self.observatory.context(name, dag_run_id, operator))

    @staticmethod
    def operator(name: str, run: PipelineRun) -> SrdpOperator:
        """The operator of a step that follows an ingest, or fails QA."""
        run_id = run.pipeline_run_id
        made: dict[str, Callable[[], SrdpOperator]] = {
            "reindex_project": lambda: ReindexProjectsOperator(task_id=name, pipeline_run_id=run_id),
            "clean_up": lambda: CleanUpRunOperator(task_id=name, pipeline_run_id=run_id),
            "fail_qa": lambda: FailQaOperator(
                task_id=name, kind=run.kind, pipeline_run_id=run_id, reason="The phases are noise."
            ),
            "mark_do_not_calibrate": lambda: MarkDoNotCalibrateOperator(task_id=name, pipeline_run_ids=run_id),
            "remove_directories": lambda: RemoveRejectedRunsOperator(task_id=name, pipeline_run_ids=run_id),
        }
        return made[name]()

    def tell(self, by: str, run: PipelineRun, step: str) -> None:
        """Have a killed step reported by the ``leaf`` of its DAG run, or by the ``reconciler`` when that has ended."""
        if by == "leaf":
            self.observatory.report_failure(run, step, None, dag_run_id=FIRST)
        else:
            task = SimpleNamespace(
                get_dr_count=lambda run_ids, **_dag: len(run_ids),
                get_dagrun_state=lambda _dag, dag_run_id: "failed" if dag_run_id == FIRST else "running",
            )
            ReconcileRunsOperator(task_id="reconcile", confirm_after_seconds=0).run_step({"ti": task})

    def withdraw(self, run: PipelineRun) -> None:
        """Withdraws the verdict."""
        operator = WithdrawVerdictOperator(task_id="withdraw", pipeline_run_id=run.pipeline_run_id, reason="A mistake.")
        operator.run_step(self.observatory.context("withdraw", "manual__withdraw", operator))

    # What is to be found

    def settled(self) -> None:
        """Return when the databases and NGAS have ended what a killed process had begun."""
        _until(lambda: all(request.seconds for request in self.observatory.ngas.requests))
        others = "SELECT 1 FROM pg_stat_activity WHERE datname IN (%s, current_database()) AND application_name <> %s"
        _until(lambda: not self.observatory.rows(others, LEDGER_DATABASE, LOOKING))

    def found(self, run: PipelineRun) -> Found:
        """What is to be found of a run."""
        stored = self.observatory.stored(run)
        kinds = {{"tar": "tar", "tgz": "weblog"}.get(file_id.rpartition(".")[2], "") for file_id, _ in stored} - {""}
        # What is sent before the weblog is there when that is.
        assert "weblog" not in kinds or len(stored) == FILES[run.kind]
        return Found(self.observatory.run(run).state, frozenset(kinds), bool(self.observatory.results(run)))

    def recorded(self, run: PipelineRun) -> dict[str, tuple[int, int]]:
        """Size and checksum of each file that the ledger says is to be in NGAS, by its id there."""
        ingest = self.observatory.ledger.ingests.in_force(run.pipeline_run_id)
        files = self.observatory.ledger.archived_files.of_ingest(ingest) if ingest else []
        return {file.ngas_file_id: (file.size_bytes, file.crc32) for file in files}

    def check_whatever_happened(self, run: PipelineRun) -> None:
        """Fails unless everything holds that must hold at every moment."""
        self._check_archive(run)
        self._check_mails(run)
        state = self.observatory.run(run).state
        if state in {RunState.CLEANING, RunState.CLEANED}:
            self._check_decided(run)
        else:
            assert self._directories(run), "the run has no directory"
        self.check_directory(run)

    def check_directory(self, run: PipelineRun) -> None:
        """Fails unless whatever is under the run's name is whole, and so is its measurement set wherever it is."""
        for directory in self._directories(run):
            self._check_whole(run, directory)
        self._check_measurement_set(run)

    def _check_archive(self, run: PipelineRun) -> None:
        """The metadata are there wholly or not at all, and what they say is in NGAS once."""
        observatory = self.observatory
        stored, files = observatory.stored(run), observatory.files_in_archive(run)
        assert {version for _, version in stored} <= {1}
        results = observatory.results(run)
        assert len(results) <= 1
        self.check_subject(run, calibrated=bool(results))
        states = observatory.rows("SELECT 1 FROM srdp_state WHERE pipeline_run_id = %s", run.pipeline_run_id)
        assert len(states) == len(results)
        if results:
            assert files == sorted((file_id, version, len(data)) for (file_id, version), data in stored.items())
            assert len(files) == FILES[run.kind]
        else:
            assert files == []
        recorded = self.recorded(run)
        for (file_id, _), data in stored.items():
            assert (len(data), zlib.crc32(data)) == recorded[file_id]

    @abstractmethod
    def check_subject(self, run: PipelineRun, *, calibrated: bool) -> None:
        """Fails unless the archive says of what was calibrated or imaged what it should."""

    def _check_mails(self, run: PipelineRun) -> None:
        events = [event.event for event in self.observatory.ledger.events.of_run(run.pipeline_run_id)]
        keys = self.observatory.mail_keys(run)
        assert keys.count("archived") == events.count("archived") <= 1
        assert keys.count("archived") <= len(self.observatory.results(run))
        assert len([key for key in keys if "rejected" in key]) == events.count("rejected") <= 1

    def _check_decided(self, run: PipelineRun) -> None:
        """What is being deleted was proved, or discarded by a decision."""
        events = self.observatory.ledger.events.of_run(run.pipeline_run_id)
        (begun,) = [event for event in events if event.event == "removal_begun"]
        if begun.state_before == RunState.ARCHIVED:
            proved = begun.details["proved_in_archive"]
            assert {(file["file_id"], file["version"]) for file in proved} == set(self.observatory.stored(run))
            assert len(proved) == FILES[run.kind]
        else:
            assert begun.state_before == RunState.REJECTED

    def _directories(self, run: PipelineRun) -> list[RunDirectory]:
        roots = [area / run.pipeline_run_id for area in self.observatory.settings.areas.roots]
        return [RunDirectory(root) for root in roots if root.exists()]

    def _check_whole(self, run: PipelineRun, directory: RunDirectory) -> None:
        """Whatever is under the run's name is whole, but for what the ingest itself changes."""
        weblog = self.weblog(run)
        changed = {*(f"working/{WEBLOG}/{name}" for name in ("qa_notes.html", "qa_report.txt")), f"products/{weblog}"}
        # Also under the name that it has while it is removed here, because a copy is in the cache.
        within = (f"working/{run.subject}.ms/", f"working/.{run.subject}.ms.moved/")

        def kept(files: dict[str, int]) -> dict[str, int]:
            return {
                path: checksum
                for path, checksum in files.items()
                if path not in changed and not path.startswith(within) and not path.endswith(".unfinished")
            }

        assert kept(_checksums(directory.root)) == kept(self._whole[run.pipeline_run_id])
        tar = (directory.products / weblog).read_bytes()
        assert tar == b"the pipeline's own" or "html/t1-1.html" in str(_members(tar))

    @abstractmethod
    def weblog(self, run: PipelineRun) -> str:
        """What the tar of the weblog is called in ``products/``."""

    @abstractmethod
    def template(self, run: PipelineRun) -> str:
        """What a flag template is called in the tar that was given with the verdict, up to why it is there."""

    @abstractmethod
    def _check_measurement_set(self, run: PipelineRun) -> None:
        """Fails unless the measurement set is where it should be; of images there is none."""

    # What is there at the end

    def check_archived(self, run: PipelineRun) -> None:
        """Fails unless the run is archived wholly and once, and is in one place."""
        self.observatory.check_archived(run)
        self.check_whatever_happened(run)
        notes = self.observatory.directory(run).working / WEBLOG / "qa_notes.html"
        # Of the first claim, however often and however late they were written.
        assert f"qa_date: {self.observatory.ingest_of(run).claimed_at:%Y-%m-%d %H:%M:%S} UTC" in notes.read_text()
        (request,) = self.observatory.ledger.outbox.reindex_requests(run.pipeline_run_id)
        assert request.done_at is not None
        assert self.places(run) == [
            processing_directory(self.observatory.settings.areas, run.pipeline_run_id).root,
            self.observatory.settings.spool_area / run.pipeline_run_id,
        ]

    def check_cleaned(self, run: PipelineRun) -> None:
        """Fails unless nothing is left on disk of a run that is archived, but its measurement set for users."""
        assert self.observatory.run(run).state is RunState.CLEANED
        assert self.places(run) == []
        self.check_whatever_happened(run)
        assert self.found(run) == Found(RunState.CLEANED, frozenset({"tar", "weblog"}), in_archive=True)

    def check_rejected(self, run: PipelineRun) -> None:
        """Fails unless nothing is left of a run that failed QA, and the archive knows what it is to know."""
        assert self.places(run) == []
        self.check_whatever_happened(run)
        assert self.found(run) == Found(RunState.CLEANED, frozenset(), in_archive=False)
        events = [event.event for event in self.observatory.ledger.events.of_run(run.pipeline_run_id)]
        assert [events.count(name) for name in ("rejected", "removed")] == [1, 1]

    def places(self, run: PipelineRun) -> list[Path]:
        """What is in the areas under the run's name or a hidden one."""
        settings = self.observatory.settings
        areas = (*settings.areas.roots, settings.spool_area)
        return [path for area in areas for path in area.iterdir() if run.pipeline_run_id in path.name]


class VlaCalibration(RunFamily):
    """Calibrations of VLA execution blocks."""

    name, kind, tar, images, antenna = "vla", "vla_calibration", "calibration", 0, "ea20"
    dags: ClassVar[dict[str, tuple[str, ...]]] = RunFamily.dags | {
        FAIL: ("fail_qa", "mark_do_not_calibrate", "remove_directories")
    }

    def weblog(self, run: PipelineRun) -> str:  # noqa: ARG002  every one of them
        return "weblog.tgz"

    def template(self, run: PipelineRun) -> str:
        return f"{run.subject}.flagtemplate"

    def check_subject(self, run: PipelineRun, *, calibrated: bool) -> None:
        assert (self.observatory.status(run) == "Calibrated") == calibrated

    def _check_measurement_set(self, run: PipelineRun) -> None:
        """It is whole in the run's directory, in the cache, or in both; discarded or cleaned, not half anywhere."""
        within = f"working/{run.subject}.ms/"
        whole = {
            path.removeprefix(within): checksum
            for path, checksum in self._whole[run.pipeline_run_id].items()
            if path.startswith(within)
        }
        places = [directory.working / f"{run.subject}.ms" for directory in self._directories(run)]
        found = [place for place in (*places, self.observatory.cached(run)) if place.exists()]
        assert found or self.observatory.status(run) != "Calibrated"
        assert self.observatory.cached(run) in found or not self._promised(run)
        for place in found:
            assert _checksums(place) == whole

    def _promised(self, run: PipelineRun) -> bool:
        """Whether the archive tells users that the measurement set is in the cache."""
        return bool(
            self.observatory.rows(
                "SELECT 1 FROM cached_measurement_set WHERE path = %s", str(self.observatory.cached(run))
            )
        )

    def check_archived(self, run: PipelineRun) -> None:
        super().check_archived(run)
        assert {path.name for path in self.observatory.cached(run).parent.iterdir()} == {MARKER, f"{run.subject}.ms"}

    def check_rejected(self, run: PipelineRun) -> None:
        super().check_rejected(run)
        assert self.observatory.status(run) == "Do Not Calibrate"
        events = [event.event for event in self.observatory.ledger.events.of_run(run.pipeline_run_id)]
        assert events.count("marked_do_not_calibrate") == 1


class AlmaImaging(RunFamily):
    """Images of ALMA MOUSs."""

    name, kind, tar, images, antenna = "alma", "alma_imaging", "associated", IMAGES, "DV20"
    dags: ClassVar[dict[str, tuple[str, ...]]] = RunFamily.dags | {FAIL: ("fail_qa", "remove_directories")}

    def weblog(self, run: PipelineRun) -> str:
        return imaging.weblog_of_images(run.subject)

    def template(self, run: PipelineRun) -> str:
        return f"{disk_name(run.subject)}.flagtargetstemplate"

    def check_subject(self, run: PipelineRun, *, calibrated: bool) -> None:
        images = self.observatory.images(run)
        assert len(images) == (IMAGES if calibrated else 0)

    def _check_measurement_set(self, run: PipelineRun) -> None:  # noqa: ARG002  of no run is there one
        assert self.observatory.rows("SELECT 1 FROM cached_measurement_set WHERE path LIKE %s", "%alma%") == []


def ended_well(ended: Ended) -> None:
    """Fails with what a process failed with."""
    assert not ended.killed
    assert ended.error == ""


def _checksums(root: Path) -> dict[str, int]:
    return {name: zlib.crc32(path.read_bytes()) for name, path in _files(root)}


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(root)), path


def _members(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [member.name for member in tar if member.size == len(_read(tar, member))]


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.002)
