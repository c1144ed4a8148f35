"""What each DAG is and does, from its own page in Airflow: ``python -m srdp.dags_table`` writes ``docs/dags.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from srdp.families.forms import FORMS

if TYPE_CHECKING:
    from airflow.sdk import DAG

_ROOT = Path(__file__).resolve().parents[2]
PAGE = _ROOT / "docs" / "dags.md"
_HEADING = """# The DAGs

The documentation of each DAG as Airflow shows it. The fields of the forms are in [forms.md](forms.md), the states
between the DAGs in [states.md](states.md).

This page is generated from the code: `PYTHONPATH=plugins .venv/bin/python -m srdp.dags_table`.
"""


def dags_table(dags: Mapping[str, DAG]) -> str:
    """Return the page of DAGs as Markdown.

    Args:
        dags: each DAG by its id.
    """
    return _HEADING + "".join(_part(dags[dag_id]) for dag_id in sorted(dags))


def _part(dag: DAG) -> str:
    # Its own heading is the name that the grid shows, one step deeper.
    text = (dag.doc_md or "").strip().partition("\n")[2].strip()
    facts = f"`{dag.dag_id}`; tags: {', '.join(sorted(dag.tags))}. *{dag.description}.*"
    form = f"[forms.md](forms.md#{dag.dag_id})" if FORMS[dag.dag_id].fields else "none"
    return f"\n## {dag.dag_display_name}\n\n{facts}\n\n{text}\n\nForm: {form}.\n"


def main() -> None:
    """Write the page, of the DAGs as Airflow's own DAG processor loads them."""
    from airflow.dag_processing.dagbag import DagBag

    PAGE.write_text(dags_table(DagBag(dag_folder=_ROOT / "dags").dags), encoding="utf-8")


if __name__ == "__main__":
    main()
