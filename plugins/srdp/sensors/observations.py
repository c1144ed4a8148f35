"""The sensor for execution blocks that came into the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from srdp.domain.errors import ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

# Behind the trigger's own deadline, for the case that the triggerer is down when that passes.
_GRACE = timedelta(hours=24)


class ObservationSensor(SrdpOperator):
    """Waits until the archive has something that is not decided, or the ledger something that is not started.

    It asks once in the worker, so that what came while no sensor was waiting goes on at once, and then waits in the
    triggerer, where a wait costs nothing. After ``lifetime`` it ends as skipped, and the next DAG run goes on: a DAG
    run that lasted for ever would keep the versions of the DAG that it was started with.

    Args:
        lifetime: how long one task waits.

    Note:
        A wrong setting is tried again like a server that is down: the task's retries keep a DAG that runs
        continuously from filling the grid with failed runs.
    """

    needs_areas = False
    template_fields: Sequence[str] = ()

    def __init__(self, *, lifetime: timedelta = timedelta(hours=1), **kwargs: Any) -> None:  # noqa: ANN401  Airflow's
        super().__init__(**kwargs)
        self.lifetime = lifetime

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Looks once; returns if there is something to do, else defers."""
        from srdp.hooks.observations import ObservationWatch
        from srdp.settings import load_settings
        from srdp.triggers.observations import ObservationTrigger

        try:
            if ObservationWatch(load_settings()).has_work():
                self.log.info("There is something to decide or to start.")
                return
        except ServiceUnavailable as error:
            self.log.warning("%s Waiting for it.", error)
        until = datetime.now(UTC) + self.lifetime
        self.defer(
            trigger=ObservationTrigger(until=until.isoformat()),
            method_name="execute_complete",
            timeout=self.lifetime + _GRACE,
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Ends with what the trigger saw.

        Args:
            context: Airflow's context of the task.
            event: the trigger's event.

        Raises:
            AirflowSkipException: nothing came.
            SettingsError: a setting, a Connection or a statement is wrong.
        """
        from srdp.triggers.observations import NEW, QUIET, WRONG_SETTING

        match event["status"]:
            case status if status == NEW:
                self.log.info("There is something to decide or to start.")
            case status if status == QUIET:
                raise AirflowSkipException(f"Nothing came in {self.lifetime}; the next run goes on watching.")
            case status if status == WRONG_SETTING:
                raise SettingsError(event["sentence"])
            case status:
                raise SrdpError(f"The trigger sent {quoted(status)}, which this version does not know.")
