"""What a site sets that has the third family, which is in ``tests/families``."""

from __future__ import annotations

import json
from pathlib import Path


def third_family(folder: Path) -> dict[str, str]:
    """Return what a site sets that has one more family: its package, its DAGs, and for how long its runs are kept.

    Args:
        folder: where the text file of retention is written.
    """
    own = Path(__file__).parent / "families"
    shipped = Path(__file__).parents[1] / "include" / "retention.txt"
    kept = "".join(f"vlacont_{name} 7 days\n" for name in ("archived", "failed", "rejected"))
    (folder / "retention.txt").write_text(shipped.read_text() + kept)
    bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": "dags-folder", "classpath": bundle, "kwargs": {}},
        {"name": "third-family", "classpath": bundle, "kwargs": {"path": str(own / "dags")}},
    ]
    return {
        "SRDP_FAMILIES": str(own / "vla_continuum"),
        "SRDP_RETENTION_FILE": str(folder / "retention.txt"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
    }
