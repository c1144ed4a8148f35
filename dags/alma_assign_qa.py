"""### ALMA assign QA

Assigns the images of a pipeline run to a data analyst for review. When a run arrives in the image QA area, the question
is asked automatically: the mail links to the page where one click assigns the run. Use this DAG to **assign a run to
somebody else**: *Trigger* it with the pipeline run ID and the data analyst's mail address.

| step | what it does |
|---|---|
| Ask who reviews it | shows the data analysts of the settings under *Required actions*, and waits without a worker |
| Assign it | records who has the run, since when, and who decided it |
| Tell the data analyst | mail, also to the former reviewer |

Without a data analyst in the form, the question is asked. To ask again in the same DAG run, clear *Ask who reviews
it*. The last answer counts: it makes a new assignment.

The question closes itself when the run no longer awaits its verdict, or was assigned by form meanwhile: within a
minute or two it is marked as skipped. An answer that comes in between is refused, with the reason in the log of *Assign
it*. A DAG run that was deleted or marked is started again as long as the run has no reviewer.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.domain.runs.assignment import QUESTION_TASK
from srdp.operators.assign_qa import AskWhoReviewsOperator, AssignQaOperator
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.retrying import retries
from srdp.task_chains.forms import params, value
from srdp.task_chains.priorities import Kind, priority

RUN = value("alma_assign_qa", "pipeline_run_id")
ANSWER = f"ti.xcom_pull(task_ids='{QUESTION_TASK}')"


@dag(
    dag_display_name="ALMA assign QA",
    description="Give the images of a run to a data analyst to review",
    schedule=None,
    # Each waits for a person: as many as there may be runs that wait for QA, and more.
    max_active_runs=5000,
    is_paused_upon_creation=False,
    default_args={
        "owner": "operations managers",
        # Soon at first, for what was killed; about an hour in all, for a ledger that is away.
        **retries("step"),
        **priority(Kind.PERSON),
    },
    tags=["alma", "verdict"],
    doc_md=__doc__,
    params=params("alma_assign_qa"),
)
def alma_assign_qa() -> None:
    asked = AskWhoReviewsOperator(
        task_id=QUESTION_TASK,
        task_display_name="Ask who reviews it",
        pipeline_run_id=RUN,
        data_analyst=value("alma_assign_qa", "data_analyst"),
    )
    assigned = AssignQaOperator(
        task_id="assign",
        task_display_name="Assign it",
        pipeline_run_id=RUN,
        data_analyst=f"{{{{ {ANSWER}['data_analyst'] }}}}",
        assigned_by=f"{{{{ {ANSWER}['assigned_by'] }}}}",
        answer=f"{{{{ {ANSWER}['answer'] }}}}",
    )
    notified = SendQueuedMailsOperator(
        task_id="mail_assigned", task_display_name="Tell the data analyst", pipeline_run_id=RUN
    )
    asked >> assigned >> notified


alma_assign_qa()
