"""Whether the settings, and everything that they point to, are right, before a run finds out.

``python -m srdp.check`` prints a line for each system as its answer comes, and exits with 0 if all are right. Run it in
the environment of Airflow's components, where the settings are. What is asked of databases and servers is in
``services``, of areas in ``areas``, of CASA in ``casa``; ``concurrently`` asks all at once, each for a time of its own.

With ``--prepare-areas`` it marks the folders of the settings as areas instead; see :mod:`srdp.domain.runs.areas`.

Nothing heavy is imported here: a DAG may import this package.
"""

from __future__ import annotations

from typing import Final

#: Airflow's pools by name: what each limits, and whether it must count deferred tasks to do so.
POOLS: Final = {"casa": ("CASA jobs at once", True), "fetch": ("fetches at once", False)}
