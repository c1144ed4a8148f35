"""What differs between the families of requests: the calibration of VLA data and the imaging of ALMA data.

Steps look here instead of asking which family they work for; what a family is, is data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from srdp.domain.runs.identifiers import PipelineRunId, execution_block_name, mous_uid
from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of requests.

    Attributes:
        name: what its pipeline run IDs begin with.
        kind: the kind of its requests; also what Airflow calls the DAG that serves them.
        subject: what people call that which is asked for, for example ``execution block``.
        label: what the names begin with by which people know its DAGs, for example ``VLA``.
        action: what is done to the subject, for example ``calibration``.
        past_tense: what the subject is when it is done, for example ``calibrated``.
        check_subject: the parser for its name.
        runner: the script in the pipeline's ``pipeline/`` that CASA is started with.
        makes_calibration: whether the products must suffice to restore a calibration; else they are images, made from
            one that exists.
        tells_of_beginning: whether a mail says that a run has begun.
        recipients: who is notified of a finished run, in the name of a step.
        rerun_dag: the DAG that makes a further run of a request.
        ingest_dag: the DAG that ingests a run into the archive.
        fail_dag: the DAG that throws a run away.
        cleanup_dag: the DAG that removes the directory of an archived run.
        withdraw_dag: the DAG that takes a verdict back.
        assign_dag: the DAG in which somebody is given a run to review; None if everybody may take it.
    """

    name: str
    kind: str
    subject: str
    label: str
    action: str
    past_tense: str
    check_subject: Callable[[object], str]
    runner: str
    makes_calibration: bool
    tells_of_beginning: bool
    told: str
    rerun_dag: str
    ingest_dag: str
    fail_dag: str
    cleanup_dag: str
    withdraw_dag: str
    assign_dag: str | None = None


VLA: Final = Family(
    name="vla",
    kind=VLA_CALIBRATION,
    subject="VLA execution block",
    label="VLA",
    action="calibration",
    past_tense="calibrated",
    check_subject=execution_block_name,
    runner="runvlapipeline.py",
    makes_calibration=True,
    tells_of_beginning=True,
    told="the analysts",
    rerun_dag="vla_rerun",
    ingest_dag="vla_qa_pass",
    fail_dag="vla_qa_fail",
    cleanup_dag="vla_cleanup",
    withdraw_dag="vla_withdraw_verdict",
)
ALMA: Final = Family(
    name="alma",
    kind=ALMA_IMAGING,
    subject="ALMA MOUS",
    label="ALMA",
    action="imaging",
    past_tense="imaged",
    check_subject=mous_uid,
    runner="runpipeline.py",
    makes_calibration=False,
    tells_of_beginning=False,
    told="the operations manager",
    rerun_dag="alma_rerun",
    ingest_dag="alma_ingest",
    fail_dag="alma_qa_fail",
    cleanup_dag="alma_cleanup",
    withdraw_dag="alma_withdraw_verdict",
    assign_dag="alma_assign_qa",
)
FAMILIES: Final = (VLA, ALMA)

_BY_KIND: Final = {family.kind: family for family in FAMILIES}
_BY_NAME: Final = {family.name: family for family in FAMILIES}
_BY_OPENING_DAG: Final = {dag: family for family in FAMILIES for dag in (family.kind, family.rerun_dag)}


def family_of(kind: str) -> Family:
    """Return the family of a kind of request, for example of ``alma_imaging``."""
    return _BY_KIND[kind]


def family_of_dag(dag_id: str) -> Family:
    """Return the family of a DAG that opens runs, for example of ``alma_rerun``."""
    return _BY_OPENING_DAG[dag_id]


def family_of_run(run_id: PipelineRunId) -> Family:
    """Return the family of a run, which its ID begins with."""
    return _BY_NAME[run_id.partition("-")[0]]
