"""### ALMA cleanup

Deletes the directory of a run, wherever it is. `expire_processing_area` deletes what has expired; use this DAG
if you need the space sooner.

| state of the run | what it does |
|---|---|
| `archived` | deletes it if the archive proves, at this moment, that it has everything |
| `rejected`, `superseded` | deletes it: these were discarded when they failed QA, or when another run passed |
| `cleaning` | finishes a cleanup that was interrupted |
| `cleaned` | nothing is left to do |

The proof: the archive's database has the metadata of every file that was archived, each image among them, and NGAS
has just read each again and found it good, with the size and checksum that were recorded.

A run in any other state is refused; the message says what you can do instead. Runs that failed or were cancelled are
kept for a rerun until they expire.

If the archive does not prove that it has everything, nothing is deleted, and the step fails with *The data products are
not in the archive, please wait and try again. If failures are repeated, please file an SSA ticket.* Its log names each
file and why. It also refuses a run whose products have changed since they were archived, a directory with symbolic
links that lead out of it, and a directory that is not this run's.

The runs of another request for the same MOUS stay as they are.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import ALMA
from srdp.task_chains.removal import cleanup, cleanup_dag


@dag(dag_display_name="ALMA cleanup", schedule=None, doc_md=__doc__, **cleanup_dag(ALMA))
def alma_cleanup() -> None:
    cleanup()


alma_cleanup()
