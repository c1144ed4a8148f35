"""The families of requests: the calibration of VLA data, the imaging of ALMA data, and those that a site adds.

One package a family behind one protocol (:class:`~srdp.families.protocol.Family`); nothing else in the house asks which
family a run has. A further family is a package that registers itself, named in the setting ``SRDP_FAMILIES``; see
``docs/adding-a-family.md``. What Airflow or a database is needed for does not live here, but above.
"""

from __future__ import annotations

import os

from srdp.families.vla_calibration import VLA

# isort: split
from srdp.families.alma_imaging import ALMA
from srdp.families.protocol import Family
from srdp.families.registry import (
    IncompleteFamily,
    families,
    family_of,
    family_of_dag,
    family_of_run,
    load,
    register,
    result_locator,
    retention_kinds,
)

__all__ = [
    "ALMA",
    "VLA",
    "Family",
    "IncompleteFamily",
    "families",
    "family_of",
    "family_of_dag",
    "family_of_run",
    "register",
    "result_locator",
    "retention_kinds",
]

load(filter(None, (name.strip() for name in os.environ.get("SRDP_FAMILIES", "").split(","))))
