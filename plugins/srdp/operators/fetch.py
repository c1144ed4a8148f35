"""The step that brings a run its raw data: those of the run that it repeats, else from NGAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srdp.operators.base import BYTES, PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.services.processing.fetch import RawDataTransfer


class FetchFromNgasOperator(PipelineRunOperator):
    """Brings all raw data of a run into its ``rawdata/`` and hands the run on to processing.

    Of a VLA run these are the files of its execution block; of an ALMA run those of all ASDMs of its MOUS, and the
    products of the calibration that the pipeline restores, without which CASA is not started.

    The raw data of a rerun are hard links to those of the run that it repeats, if that one's fetch was complete and
    every file is what was recorded; no byte is fetched again. Those of a run that failed QA or was removed are not
    used, nor those of an ALMA run that has another calibration. Everything else is fetched.

    Built so that it may die at any instant: files appear under their names when their size and checksum are right,
    what had arrived of the others is kept in a hidden directory, and the next try continues from there. A run that is
    already in processing is left alone. The files are read-only, so that CASA does not write them.

    Args:
        pipeline_run_id: the run (templated).
        pool: the pool that limits how many runs fetch at once, and so leaves workers for everything else.

    Note:
        One try keeps a worker slot for as long as the transfer takes. Files of one server are fetched
        ``SRDP_FETCH_STREAMS_PER_SERVER`` at once *by each run*: with many runs fetching at once an NGAS server may
        answer that it is busy, which delays and does not fail them.
    """

    work_queue = BYTES
    _transfer: RawDataTransfer | None = None
    _killed = False

    def __init__(self, *, pipeline_run_id: str, pool: str = "fetch", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, pool=pool, **kwargs)

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Bring what is missing and record it; see the class."""
        from srdp.services.context import run_context
        from srdp.services.processing.fetch import RawDataTransfer

        self._transfer = RawDataTransfer(run_context(self.pipeline_run_id))
        if self._killed:
            self._transfer.stop()
        self._transfer.run()

    def on_kill(self) -> None:
        """Stop the transfer; what has arrived is kept."""
        self._killed = True  # Airflow's signal handler only calls this: the step has to end by itself
        if self._transfer is not None:
            self._transfer.stop()
