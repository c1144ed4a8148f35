"""### VLA QA pass

Gives the verdict on a VLA calibration that waits in the QA area, and ingests it into the archive. The QA flag, *Pass*,
*Fail* or *Null* (no SRDP QA was done), is separate from archiving.

| step | what it does |
|---|---|
| Check and claim | checks the form, report and flag template; proves that the run can be restored; claims it |
| Write the QA notes | into the weblog; its tar is made anew |
| Pack the products | the calibration's tar; sizes and checksums are recorded |
| Put them into NGAS | tar and weblog, each once, each proved by the server's CHECKFILE |
| Write the archive's metadata | in one transaction: files, calibration, notes, status |
| Finish | the run is archived; on *Pass* its siblings are superseded and the request is sealed |
| Have the project indexed | so that the archive's front end shows it |
| Keep the measurement set | in the cache for users; the directory goes back to the processing area, where it expires |
| Tell the analysts it is archived | mail: what, where, how to restore |
| Report the failure | only when a step failed: the run is `ingest_failed`, and a mail says why |

**After a failure** trigger it again with the same run and flag and leave the rest empty: the notes are kept, it goes on
where it stopped, and nothing is archived twice. Another verdict needs *VLA withdraw verdict* first. For a run that is
archived, another flag or other notes change the metadata only. What *Check and claim* refuses has changed nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, chain, dag

from srdp.domain.identifiers import PIPELINE_RUN_ID_PATTERN
from srdp.operators.archive_metadata import WriteArchiveMetadataOperator
from srdp.operators.archive_products import ArchiveProductsOperator
from srdp.operators.claim_ingest import ClaimIngestOperator
from srdp.operators.finish_ingest import FinishIngestOperator
from srdp.operators.ingest_failure import ReportIngestFailureOperator
from srdp.operators.keep_products import KeepProductsOperator
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.pack_products import PackProductsOperator
from srdp.operators.qa_notes import WriteQaNotesOperator
from srdp.operators.reindex import ReindexProjectsOperator

RUN = "{{ params.pipeline_run_id }}"
FIELDS = "qa_report qa_report_text qa_standard qa_analyst qa_score qa_comments flag_template flag_template_text"
PASTED = "The file itself, instead of its path."
TEXT, LONG_TEXT = ({"format": "multiline", "maxLength": longest} for longest in (20_000, 200_000))


def _optional(title: str, description: str, **form: Any) -> Param:  # noqa: ANN401  as Param's
    return Param(None, type=["null", "string"], title=title, description=description, **{"maxLength": 1000, **form})


@dag(
    dag_display_name="VLA QA pass",
    description="Give the verdict on a VLA calibration and ingest it into the archive",
    schedule=None,
    max_active_runs=64,
    is_paused_upon_creation=False,
    # Few and soon: a server that is away is told of within a minute, and the verdict can be given again at any time.
    default_args={"owner": "data analysts", "retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["vla", "verdict", "archive"],
    doc_md=__doc__,
    params={
        "pipeline_run_id": Param(
            type="string",
            title="Pipeline run ID",
            description="From the mail, or the name of the run's directory, for example vla-20261122-182453-4f7k.",
            pattern=PIPELINE_RUN_ID_PATTERN,
        ),
        "qa_flag": Param(
            type="string",
            title="QA flag",
            description="The SRDP verdict; Null: no SRDP QA was done.",
            enum=["Pass", "Fail", "Null"],
        ),
        "qa_comments": _optional("QA comments", "They stand in the weblog and in the archive.", **TEXT),
        "qa_analyst": _optional("QA analyst", "Who gives the verdict. Empty: what the report says."),
        "qa_standard": _optional("QA standard", "Empty: what the report says, or SRDP Pilot."),
        "qa_score": Param(
            None, type=["null", "number"], title="QA score", description="Empty: 1 for Pass, 0 for Fail, none for Null."
        ),
        "qa_report": _optional("QA report", "The path of a qa_report.txt.", section="QA report"),
        "qa_report_text": _optional("QA report, pasted", PASTED, section="QA report", **TEXT),
        "flag_template": _optional("Flag template", "The path of a flagtemplate.txt.", section="Flag template"),
        "flag_template_text": _optional("Flag template, pasted", PASTED, section="Flag template", **LONG_TEXT),
    },
)
def vla_qa_pass() -> None:
    # Mapped over its one run, so that the grid shows which one it is.
    claimed = ClaimIngestOperator.partial(
        task_id="claim_ingest",
        task_display_name="Check and claim",
        map_index_template="{{ task.pipeline_run_id }}",
        qa_flag="{{ params.qa_flag }}",
        **{name: f"{{{{ params.{name} }}}}" for name in FIELDS.split()},
    ).expand(pipeline_run_id=[RUN])
    steps = [
        claimed,
        WriteQaNotesOperator(task_id="write_qa_notes", task_display_name="Write the QA notes", pipeline_run_id=RUN),
        PackProductsOperator(task_id="pack_products", task_display_name="Pack the products", pipeline_run_id=RUN),
        ArchiveProductsOperator(
            task_id="archive_products", task_display_name="Put them into NGAS", pipeline_run_id=RUN
        ),
        WriteArchiveMetadataOperator(
            task_id="write_archive_metadata", task_display_name="Write the archive's metadata", pipeline_run_id=RUN
        ),
        FinishIngestOperator(task_id="finish_ingest", task_display_name="Finish", pipeline_run_id=RUN),
        ReindexProjectsOperator(
            task_id="reindex_project", task_display_name="Have the project indexed", pipeline_run_id=RUN
        ),
        KeepProductsOperator(
            task_id="keep_products", task_display_name="Keep the measurement set", pipeline_run_id=RUN
        ),
        SendQueuedMailsOperator(
            task_id="mail_archived", task_display_name="Tell the analysts it is archived", pipeline_run_id=RUN
        ),
    ]
    failure = ReportIngestFailureOperator(
        task_id="report_failure",
        task_display_name="Report the failure",
        pipeline_run_id=RUN,
        claimed_by="claim_ingest",
        trigger_rule="one_failed",
        retries=10,
    )
    chain(*steps)
    steps >> failure


vla_qa_pass()
