"""The engines as the settings name them, and which of them a run has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import srdp.settings
from srdp.domain.common.errors import SettingsError, quoted
from srdp.domain.site.engine_names import EngineName
from srdp.engines.batch import BatchEngine
from srdp.engines.htcondor import HTCondor
from srdp.engines.local import LocalEngine
from srdp.engines.slurm import Slurm, run_here

if TYPE_CHECKING:
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.engines import Engine
    from srdp.hooks.ledger import Ledger


def engine(name: str) -> Engine:
    """Return the engine of a name.

    Args:
        name: the name, as the setting ``SRDP_ENGINE`` gives it.

    Raises:
        SettingsError: there is no such engine, or its settings are wrong.
    """
    if name == EngineName.LOCAL:
        return LocalEngine()
    if name == EngineName.SLURM:
        # Only here: its package takes half a second, and few sites reach Slurm by SSH.
        from srdp.hooks.slurm_ssh import SshRunner

        options = srdp.settings.load_settings().slurm
        return BatchEngine(Slurm(options, SshRunner(options.ssh_connection) if options.ssh_connection else run_here))
    if name == EngineName.HTCONDOR:
        return BatchEngine(HTCondor(srdp.settings.load_settings().htcondor))
    raise SettingsError(f"There is no engine {quoted(name)}: set SRDP_ENGINE to {' or '.join(EngineName)}.")


def record_engine(ledger: Ledger, run_id: PipelineRunId, chosen: EngineName) -> None:
    """Record which engine a run is opened for; what was recorded first stays.

    Args:
        ledger: where it is recorded.
        run_id: the run.
        chosen: the engine.
    """
    ledger.runs.record_engine(run_id, chosen.value)


def engine_of_run(ledger: Ledger, run_id: PipelineRunId) -> str:
    """Return the name of the engine that a run was opened for; runs of former releases had one only.

    Args:
        ledger: where it is recorded.
        run_id: the run.
    """
    return ledger.runs.get(run_id).engine or EngineName.LOCAL.value
