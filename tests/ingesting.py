"""What the tests of the verdict share: runs that wait for it, an archive and NGAS, and the steps of an ingest.

Each step is a call in this process, so that a test may make it in a forked one and kill that: a task of Airflow does
nothing else. What a step needs comes from the ledger, the archive, NGAS and the disk, never from the call before it.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException
from psycopg.rows import dict_row
from tests import imaging, observing
from tests.calibration_files import apply_list, packed_tables, table_names

from sandbox.ngas.server import NgasServer
from srdp.domain.runs.ledger_records import Ingest, PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import RunDirectory, find_run_directory, processing_directory, qa_directory
from srdp.domain.runs.run_marker import MARKER, make_marked
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, VLA, family_of, family_of_run
from srdp.hooks.ledger import Ledger
from srdp.operators.archive_metadata import WriteArchiveMetadataOperator
from srdp.operators.archive_products import ArchiveProductsOperator
from srdp.operators.base import SrdpOperator
from srdp.operators.claim_ingest import ClaimIngestOperator
from srdp.operators.failure_record import FAILURE_XCOM
from srdp.operators.finish_ingest import FinishIngestOperator
from srdp.operators.ingest_failure import ReportIngestFailureOperator
from srdp.operators.keep_products import KeepProductsOperator
from srdp.operators.pack_products import PackProductsOperator
from srdp.operators.qa_notes import WriteQaNotesOperator
from srdp.services.context import RunContext
from srdp.settings import Settings

DAG_ID = "vla_qa_pass"
#: The steps in their order, as the DAG calls them.
STEPS: dict[str, type[SrdpOperator]] = {
    "claim_ingest": ClaimIngestOperator,
    "write_qa_notes": WriteQaNotesOperator,
    "pack_products": PackProductsOperator,
    "archive_products": ArchiveProductsOperator,
    "write_archive_metadata": WriteArchiveMetadataOperator,
    "finish_ingest": FinishIngestOperator,
    "keep_products": KeepProductsOperator,
}
MANIFEST = "unknown.hifv.pipeline_manifest.xml"
CALTABLES = "unknown.session_1.caltables.tgz"
WEBLOG = "pipeline-20260101T000000/html"
FITS = "unknown.J1445_ph.spw0.cont.I.pbcor.fits"
FLAGS = "mode='manual' antenna='ea12'\n"
NOTES = {"qa_analyst": "An Analyst", "qa_comments": "Looks <well>."}


#: How many images there are of an imaging, and how many files NGAS has of an ingest.
IMAGES = len((*imaging.SCIENCE, *imaging.ANCILLARY))
FILES = {VLA.kind: 2, ALMA.kind: 2 + IMAGES}
_RESULTS = {VLA.kind: "calibration", ALMA.kind: "image_set"}
_OF = {VLA.kind: "execution_block_locator = %s", ALMA.kind: "mous_uid = %s AND asked = %s::jsonb"}


def _asked(run: PipelineRun) -> tuple[str, ...]:
    return () if run.asked is None else (json.dumps(run.asked),)


def fill_run_directory(directory: RunDirectory, execution_block: str) -> None:
    """Make what CASA leaves: products with their manifest, the weblog, a measurement set."""
    products = {
        f"{execution_block}.ms.flagversions.tgz": "flags",
        f"{execution_block}.ms.calapply.txt": apply_list(execution_block, table_names(execution_block)),
        "casa_piperestorescript.py": "restore",
        "pipeline_aquareport.xml": "<report/>",
        "weblog.tgz": "the pipeline's own",
        FITS: "an image",
        MANIFEST: f'<piperesults><ous name="unknown"><session name="session_1"><caltables name="{CALTABLES}"/>'
        f'<asdm name="{execution_block}.ms"><finalflags name="{execution_block}.ms.flagversions.tgz"/>'
        f'<applycmds name="{execution_block}.ms.calapply.txt"/></asdm></session>'
        '<weblog name="weblog.tgz"/></ous></piperesults>',
    }
    for place in (directory.rawdata, directory.working, directory.products):
        place.mkdir(parents=True)
    for name, content in products.items():
        (directory.products / name).write_text(content)
    (directory.products / CALTABLES).write_bytes(packed_tables(table_names(execution_block)))
    weblog = directory.working / WEBLOG
    weblog.mkdir(parents=True)
    (weblog / "t1-1.html").write_text("<html>the weblog</html>")
    (weblog / "index.html").symlink_to("t1-1.html")
    (directory.working / f"{execution_block}.flagtemplate.txt").write_text(FLAGS)
    measurement_set = directory.working / f"{execution_block}.ms"
    (measurement_set / "ANTENNA").mkdir(parents=True)
    (measurement_set / "table.dat").write_bytes(bytes(range(256)))
    (measurement_set / "ANTENNA" / "table.f0").write_bytes(b"antennas")


@dataclass
class Observatory:
    """A ledger, an archive, NGAS and the areas, and what a data analyst does with them.

    Attributes:
        settings: the settings; `change` replaces some.
        ledger: the ledger.
        archive_url: the archive's database.
        ngas: the NGAS server that receives.
        kind: of which kind the runs are that it opens.
        user: whom Airflow has authenticated.
    """

    settings: Settings
    ledger: Ledger
    archive_url: str
    ngas: NgasServer
    kind: str = VLA.kind
    user: str = "analyst"
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def change(self, **settings: Any) -> None:
        """Change settings from now on."""
        self.settings = self.settings.model_copy(update=settings)

    # Runs

    def waiting_run(
        self,
        *,
        subject: str | None = None,
        asked: int = 1,
        flags_read: bool = True,
        finish: Callable[[PipelineRun, RunDirectory], object] = lambda _run, _directory: None,
    ) -> PipelineRun:
        """A run that waits for its verdict in the QA area; with a subject, the next version of that request.

        Args:
            subject: the EB's name, or the UID of the MOUS.
            asked: of a MOUS, which request for it.
            flags_read: whether the flag templates that are there were given to CASA.
            finish: what else is done with it before it is delivered.
        """
        run = self.open_run(subject=subject, asked=asked)
        self.ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
        self.ledger.runs.transition(run.pipeline_run_id, RunState.PROCESSING, event="fetched")
        self.ledger.casa.record(
            run.pipeline_run_id,
            1,
            started_at=datetime.now(UTC),
            ended_at=datetime.now(UTC),
            casa_version="6.7.0.31",
            pipeline_version="2026.1.0.4",
        )
        make_marked(qa_directory(self.settings.areas, run.pipeline_run_id).root, run.marker)
        fill = fill_run_directory if run.kind == VLA.kind else imaging.fill_image_directory
        fill(qa_directory(self.settings.areas, run.pipeline_run_id), run.subject)
        read = FLAGS if run.kind == VLA.kind else imaging.FLAGS
        template = SubmittedFile(name=family_of(run.kind).contents.template, content=read.encode(), source="pasted")
        if flags_read:
            self.ledger.submitted_files.record(run.pipeline_run_id, template)
        finish(run, qa_directory(self.settings.areas, run.pipeline_run_id))
        self.ledger.runs.transition(run.pipeline_run_id, RunState.AWAITING_QA, event="delivered")
        return self.ledger.runs.get(run.pipeline_run_id)

    def open_run(self, *, subject: str | None = None, asked: int = 1) -> PipelineRun:
        """A run that was just opened, of an execution block or a MOUS that the archive has; reopened if need be."""
        request: dict[str, Any] = {}
        if self.kind == VLA.kind:
            subject = subject or observing.ingest(self.archive_url)
            (block,) = self.rows("SELECT locator FROM execution_block WHERE name = %s", subject)
            locator = block["locator"]
        else:
            subject = locator = subject or observing.ingest_mous(self.archive_url)
            request = {"request_digest": f"{asked:064x}", "asked": {"fields": ["TW_Hya"], "request": asked}}
        return self.ledger.runs.open(
            kind=self.kind, subject=subject, project="13A-537", locator=locator,
            dag_id=self.kind, dag_run_id=f"manual__{subject}_{next(self._numbers)}", requested_by="analyst",
            recipe=self.kind, cores=1, memory_gb=1, reopen=True, **request,
        )  # fmt: skip

    def run(self, run: PipelineRun) -> PipelineRun:
        """The run as it is now."""
        return self.ledger.runs.get(run.pipeline_run_id)

    def directory(self, run: PipelineRun) -> RunDirectory:
        """Its directory, from where it is now."""
        return find_run_directory(self.settings.areas, run.pipeline_run_id)

    def ingest_of(self, run: PipelineRun) -> Ingest:
        """Its ingest in force."""
        ingest = self.ledger.ingests.in_force(run.pipeline_run_id)
        assert ingest is not None
        return ingest

    # Steps

    def step(self, name: str, run: PipelineRun, *, dag_run_id: str = "manual__pass", **form: Any) -> object:
        """Make one step of ``vla_qa_pass`` as its task does; an error is an ``SrdpError``, as the library raised it.

        Args:
            name: one of :data:`STEPS`.
            run: the run.
            dag_run_id: the DAG run that makes it.
            **form: what the form says beyond the run and the flag ``Pass``.
        """
        operator = self.operator(name, run, **form)
        return operator.run_step(self.context(name, dag_run_id, operator))

    def execute(self, name: str, run: PipelineRun, *, dag_run_id: str = "manual__pass", **form: Any) -> object:
        """Make one step with all that Airflow would have: what it raises is an ``AirflowException``."""
        operator = self.operator(name, run, **form)
        return operator.execute(self.context(name, dag_run_id, operator))

    def operator(self, name: str, run: PipelineRun, **form: Any) -> SrdpOperator:
        """The operator of a step."""
        options: dict[str, Any] = {"task_id": name, "pipeline_run_id": run.pipeline_run_id}
        faults: list[str] = []
        if name == "claim_ingest":
            options |= {"qa_flag": "Pass"} | form
            faults = options.pop("form_faults", [])
        if name == "archive_products":
            options |= {"settle_seconds": 0.5}
        operator = STEPS[name](**options)
        for fault in faults:
            operator.faults.add(fault)
        return operator

    def ingest(
        self, run: PipelineRun, *, begin: str = "claim_ingest", end: str = "keep_products",
        dag_run_id: str = "manual__pass", **form: Any,
    ) -> None:  # fmt: skip
        """Make the steps from one to another; without a form, with :data:`NOTES`."""
        names = list(STEPS)
        for name in names[names.index(begin) : names.index(end) + 1]:
            self.step(name, run, dag_run_id=dag_run_id, **(form or NOTES))

    def of_run(self, run: PipelineRun) -> RunContext:
        """What a service takes of a run."""
        return RunContext(self.settings, self.ledger, run)

    def report_failure(
        self, run: PipelineRun, step: str, sentence: str | None, *, dag_run_id: str = "manual__pass"
    ) -> str:
        """Lets the leaf of the DAG report that a step failed; returns what the leaf itself fails with."""
        operator = ReportIngestFailureOperator(
            task_id="report_failure", pipeline_run_id=run.pipeline_run_id, claimed_by="claim_ingest"
        )
        context = self.context("report_failure", dag_run_id, operator, failed=step, sentence=sentence)
        with pytest.raises(AirflowException) as caught:
            operator.execute(context)
        return str(caught.value)

    def context(
        self, task_id: str, dag_run_id: str, task: object = None, *, failed: str = "", sentence: str | None = None
    ) -> Any:
        """What Airflow gives a task of the DAG run, in which another task may have failed."""
        reported = {"sentence": sentence, "kind": "SrdpError"} if sentence else None
        family = family_of_run(getattr(task, "pipeline_run_id", "vla"))
        dags = {"withdraw": family.withdraw_dag, "clean_up": family.cleanup_dag, "fail_qa": family.fail_dag}
        dag_id = dags.get(task_id, family.ingest_dag)
        ti = SimpleNamespace(
            task_id=task_id,
            dag_id=dag_id,
            run_id=dag_run_id,
            try_number=1,
            xcom_push=lambda **_reported: None,
            xcom_pull=lambda task_ids, key: reported if (task_ids, key) == (failed, FAILURE_XCOM) else None,
            get_task_states=lambda run_ids, **_dag: {run_id: {failed: "failed"} for run_id in run_ids},
        )
        dag_run = SimpleNamespace(dag_id=dag_id, run_id=dag_run_id, run_type="manual", triggering_user_name=self.user)
        tasks = {name: SimpleNamespace(task_display_name=name) for name in (*STEPS, "report_failure")}
        return {"ti": ti, "task": task, "dag_run": dag_run, "dag": SimpleNamespace(task_dict=tasks), "params": {}}

    # What is to be seen

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of the archive's database."""
        with psycopg.connect(self.archive_url, row_factory=dict_row) as archive:
            return archive.execute(statement, parameters).fetchall()

    def status(self, run: PipelineRun) -> str:
        """The execution block's status in the archive."""
        (row,) = self.rows("SELECT calibration_status FROM execution_block WHERE name = %s", run.subject)
        return str(row["calibration_status"])

    def results(self, run: PipelineRun) -> list[dict[str, Any]]:
        """The calibrations of the execution block in the archive, or the image sets of the MOUS."""
        statement = f"SELECT * FROM {_RESULTS[run.kind]} WHERE {_OF[run.kind]} ORDER BY locator"  # noqa: S608  ours
        return self.rows(statement, run.locator, *_asked(run))

    def images(self, run: PipelineRun) -> list[dict[str, Any]]:
        """What the archive says of the images of the MOUS, by name."""
        return self.rows(
            f"SELECT image.* FROM image JOIN image_set ON locator = image_set_locator WHERE {_OF[run.kind]} "  # noqa: S608  ours
            "ORDER BY relative_path",
            run.locator, *_asked(run),
        )  # fmt: skip

    def files_in_archive(self, run: PipelineRun) -> list[tuple[str, int, int]]:
        """Id, version and size of the files of its results in the archive."""
        rows = self.rows(
            f"SELECT ngas_file_id, version, size FROM file JOIN {_RESULTS[run.kind]} USING (file_group_id) "  # noqa: S608  ours
            f"WHERE {_OF[run.kind]} ORDER BY ngas_file_id, version",
            run.locator, *_asked(run),
        )  # fmt: skip
        return [(row["ngas_file_id"], row["version"], row["size"]) for row in rows]

    def stored(self, run: PipelineRun) -> dict[tuple[str, int], bytes]:
        """What NGAS has of a run, by id and version, as it is on its disk."""
        found = self.ngas.store.like(f"{run.pipeline_run_id}%")
        return {(row.file_id, row.file_version): self.ngas.store.path(row).read_bytes() for row in found}

    def tar_members(self, run: PipelineRun, number: int = 1) -> dict[str, bytes]:
        """What the tar of an ingest in NGAS holds."""
        name = f"{run.pipeline_run_id}.{'' if number == 1 else f'{number}.'}{family_of(run.kind).contents.tar}.tar"
        (row,) = self.ngas.store.like(name)
        with tarfile.open(self.ngas.store.path(row)) as tar:
            return {member.name: stream.read() for member in tar.getmembers() if (stream := tar.extractfile(member))}

    def mail_keys(self, run: PipelineRun) -> list[str]:
        """The keys of the mails about a run, in their order."""
        return [mail.key for mail in self.ledger.outbox.mails(run.pipeline_run_id)]

    def cached(self, run: PipelineRun) -> Path:
        """Where the run's measurement set is kept for users."""
        return self.settings.measurement_set_cache / run.pipeline_run_id / f"{run.subject}.ms"

    def check_archived(self, run: PipelineRun) -> None:
        """Fails unless the run is archived wholly and once, and everything that follows from it is done."""
        id_ = run.pipeline_run_id
        assert self.run(run).state is RunState.ARCHIVED
        stored = self.stored(run)
        recorded = {
            (file.ngas_file_id, file.ngas_version): (file.size_bytes, file.crc32)
            for file in self.ledger.archived_files.of_ingest(self.ingest_of(run))
        }
        assert {key: (len(data), zlib.crc32(data)) for key, data in stored.items()} == recorded
        assert {key[1] for key in stored} == {1}
        assert len(recorded) == FILES[run.kind]
        assert len(self.results(run)) == 1
        assert self.files_in_archive(run) == sorted((key[0], key[1], len(data)) for key, data in stored.items())
        assert self.mail_keys(run).count("archived") == 1
        assert [request.project for request in self.ledger.outbox.reindex_requests(id_)] == [run.project]
        areas = self.settings.areas
        assert not qa_directory(areas, id_).root.exists()
        manifest = MANIFEST if run.kind == VLA.kind else imaging.manifest_of_images(run.subject)
        assert (processing_directory(areas, id_).products / manifest).is_file()
        assert [path.name for path in (self.settings.spool_area / id_).iterdir()] == [MARKER]
        assert self.run(run).failure is None
        if run.kind == VLA.kind:
            self._check_calibrated(run)
        else:
            self._check_images(run)

    def _check_images(self, run: PipelineRun) -> None:
        (made,) = self.results(run)
        assert made["asked"] == run.asked
        images = self.images(run)
        names = {row["relative_path"] for row in self.rows(
            "SELECT relative_path FROM file WHERE file_group_id = %s AND kind IN ('science', 'ancillary')",
            made["file_group_id"],
        )}  # fmt: skip
        assert {row["relative_path"] for row in images} == names
        assert len(images) == IMAGES

    def _check_calibrated(self, run: PipelineRun) -> None:
        id_ = run.pipeline_run_id
        assert self.status(run) == "Calibrated"
        assert (self.cached(run) / "table.dat").read_bytes() == bytes(range(256))
        assert not (self.settings.processing_area / id_ / "working" / f"{run.subject}.ms").exists()
        cached = self.rows(
            "SELECT path FROM cached_measurement_set JOIN calibration ON locator = calibration_locator "
            "WHERE execution_block_locator = %s",
            run.locator,
        )
        assert [row["path"] for row in cached] == [str(self.cached(run))]


def new_observatory(
    settings: Settings, archive_url: str, ngas: NgasServer, setenv: Callable[[str, str], None]
) -> Observatory:
    """An observatory whose NGAS server the archive knows; its connections are set by `setenv`."""
    with psycopg.connect(archive_url) as archive:
        archive.execute("INSERT INTO ngas_server VALUES ('ours', %s, 'DSOC', 'DSOC')", (f"127.0.0.1:{ngas.port}",))
    setenv(
        "AIRFLOW_CONN_SRDP_NGAS",
        json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": ngas.port, "extra": {"stall_seconds": 5}}),
    )
    return Observatory(settings, Ledger(settings, retry_seconds=20), archive_url, ngas)
