"""Deciding about new execution blocks, and starting calibrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import ServiceUnavailable, quoted
from srdp.domain.runs.execution_block import Decision
from srdp.operators.base import SrdpOperator
from srdp.operators.dag_runs import start_dag_run

if TYPE_CHECKING:
    from airflow.sdk import Context

# What an XCom shows; the ledger has all.
_SHOWN = 100


class DecideObservationsOperator(SrdpOperator):
    """Decides about each new execution block once: to calibrate it, or to leave it alone, with the reason.

    The decisions are in the ledger before anything is started. The log and the task's result name each of them.
    """

    needs_areas = False
    template_fields: Sequence[str] = ()

    def run_step(self, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Return what was decided: names to calibrate, and names with the reasons for which they are left alone."""
        from srdp.hooks.observations import ObservationWatch
        from srdp.settings import load_settings

        noticed = ObservationWatch(load_settings()).decide()
        calibrate, left_alone = [], {}
        for one in noticed:
            # The name may be anything; what is calibrated has passed the parser of EB names.
            name = quoted(one.sdm.name).strip("'")
            if one.verdict.decision is Decision.CALIBRATE:
                self.log.info("%s: calibrate (%s)", name, one.verdict.reason)
                calibrate.append(name)
            else:
                self.log.warning("%s: left alone, %s", name, one.verdict.reason)
                left_alone[name] = one.verdict.reason
        return {
            "calibrate": calibrate[:_SHOWN],
            "left alone": dict(list(left_alone.items())[:_SHOWN]),
            "decided": len(noticed),
        }


class StartCalibrationsOperator(SrdpOperator):
    """Starts one DAG run for each execution block that was decided to be calibrated, while there are places.

    The oldest comes first. No more than ``SRDP_WATCH_RUNS_AT_ONCE`` are under way at once; the watcher starts this
    again as soon as there is a place.

    A DAG run's id is the EB's name, so Airflow itself refuses a second one; that it exists is as good as starting it.
    What is to be started is read from the ledger, not from the task before: killed anywhere, this task, or the one of
    the next DAG run, continues with the rest.

    It starts all of them in one task. A mapped ``TriggerDagRunOperator`` would do the same with one task for each; but
    from the decision to the last of 30 it took 9 s on an idle machine with two cores and 17 s on a busy one (load 7),
    beside the archive's polling and the tasks before, and a calibration must have begun within 30 s. This task took
    4 s, idle or busy. It sends the message that the operator's exception makes Airflow's task runner send, which is
    not a documented interface of Airflow: a test on a real scheduler holds it.

    Args:
        trigger_dag_id: the DAG to start.
    """

    needs_areas = False
    template_fields: Sequence[str] = ("trigger_dag_id",)

    def __init__(self, *, trigger_dag_id: str, **kwargs: Any) -> None:  # noqa: ANN401  Airflow's own arguments
        super().__init__(**kwargs)
        self.trigger_dag_id = trigger_dag_id

    def run_step(self, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Return which were started, which had been started before, and how many wait for a place.

        Raises:
            ServiceUnavailable: Airflow did not take at least one of them; all others are started.
        """
        from srdp.hooks.observations import ObservationWatch
        from srdp.settings import load_settings

        settings = load_settings()
        watch = ObservationWatch(settings)
        result: dict[str, list[str]] = {"started": [], "found started": []}
        refused: list[str] = []
        names = watch.to_start()
        for name in names:
            try:
                is_new = start_dag_run(self.trigger_dag_id, name, {"execution_block": name})
            except ServiceUnavailable as error:
                self.log.error("%s: %s", name, error)  # noqa: TRY400  a sentence, not a traceback
                refused.append(str(error))
                continue
            watch.mark_started(name, name)
            self.log.info("%s: %s", name, "started" if is_new else "was started before")
            result["started" if is_new else "found started"].append(name)
        if refused:
            raise ServiceUnavailable(f"{len(refused)} of {len(names)} calibrations were not started: {refused[0]}")
        if waiting := watch.waiting():
            self.log.info("%d wait for a place: no more than %d at once", waiting, settings.watch_runs_at_once)
        return {**result, "waiting": waiting}
