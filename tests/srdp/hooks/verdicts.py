"""What the tests of the ledger's verdicts and ingests share."""

from __future__ import annotations

from dataclasses import replace

from srdp.domain.common.mail import Mail
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.ledger_records import FileOfIngest

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
PASS = QaVerdict(QaFlag.PASS, analyst="an analyst", score=0.85, comments="fine\nreally")
NULL = QaVerdict(QaFlag.NULL)
TAR = FileOfIngest(
    ngas_file_id="run.calibration.tar", kind="calibration", name="13A-537.tar", mime_type="application/x-tar",
    size_bytes=2048, crc32=4294967295,
)  # fmt: skip
WEBLOG = replace(TAR, ngas_file_id="run.weblog.tgz", kind="weblog", name="weblog.tgz")
ARCHIVED = Mail("archived", ("one@example.org",), "Archived", "text", "<p>html</p>")


def claim(ledger, run, verdict=PASS, dag_run_id="manual__pass"):
    return ledger.ingests.claim(
        run.pipeline_run_id, verdict, dag_id="vla_qa_pass", dag_run_id=dag_run_id, requested_by="an analyst"
    )


def finish(ledger, ingest, **changes):
    asked = {"mails": [ARCHIVED], "details": {}, "supersede": True, "seal": True, "reindex_project": "13A-537"}
    return ledger.ingests.finish(ingest, **(asked | changes))
