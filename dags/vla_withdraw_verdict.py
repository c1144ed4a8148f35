"""### Withdraw a VLA verdict

Takes back a verdict whose ingest failed, so that another can be given, or the run rerun or failed.

| step | what it does |
|---|---|
| Withdraw the verdict | makes sure that the archive has no metadata of it; the run awaits its verdict again |
| Tell everybody | mail, with the files that may be orphans in NGAS |

Refused for a run that is not `ingest_failed`, and as soon as the archive has the calibration's metadata: then give the
same verdict again, which finishes the ingest, and change its QA flag afterwards. The next ingest of the run uses other
ids in NGAS: what was sent is never sent again under the same id.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import VLA
from srdp.task_chains.withdrawal import withdrawal, withdrawal_dag


@dag(dag_display_name="VLA withdraw verdict", schedule=None, doc_md=__doc__, **withdrawal_dag(VLA))
def vla_withdraw_verdict() -> None:
    withdrawal(VLA)


vla_withdraw_verdict()
