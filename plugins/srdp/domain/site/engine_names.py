"""The engines, as the settings and the forms name them."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """What can run CASA."""

    LOCAL = "local"
    SLURM = "slurm"
    HTCONDOR = "htcondor"
