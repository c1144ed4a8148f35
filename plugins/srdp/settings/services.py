"""The connections, and when the health check warns."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from srdp.settings.values import ConnectionId, SettingsGroup


class ServiceSettings(SettingsGroup):
    """The connections, and when the health check warns."""

    TITLE: ClassVar[str] = "Connections and health"

    ledger_connection: ConnectionId = Field(default="srdp_ledger", description="The ledger's PostgreSQL database.")
    archive_connection: ConnectionId = Field(default="srdp_archive", description="The archive's database.")
    ngas_connection: ConnectionId = Field(
        default="srdp_ngas",
        description="Login for NGAS servers, the server that receives what is archived, and in the extra "
        "`allowed_hosts` the other hosts that may have the login.",
    )
    locator_connection: ConnectionId = Field(default="srdp_locator", description="The locator service.")
    smtp_connection: ConnectionId = Field(default="srdp_smtp", description="The mail server.")
    airflow_connection: ConnectionId = Field(
        default="srdp_airflow",
        description="Airflow's API server, for `srdp-health` alone: its address and a login that may read DAGs and "
        "task instances.",
    )
    health_heartbeat_minutes: float = Field(
        default=5.0,
        gt=0,
        description="`srdp-health` is critical if a watcher has not asked the archive for new execution blocks for so "
        "long, or the ledger for mails that are due.",
    )
    health_dag_run_minutes: float = Field(
        default=20.0,
        gt=0,
        description="Likewise if `watch_observations` or `send_mails_and_reconcile` has not run for so long; both run "
        "every quarter of an hour at least.",
    )
    health_queued_minutes: float = Field(
        default=10.0,
        gt=0,
        description="Likewise if a task is ready for so long and nothing of its queue runs, or for so long no "
        "triggerer watches one that waits.",
    )
    health_outbox_minutes: float = Field(
        default=15.0, gt=0, description="It warns if a mail has waited for so long to be sent."
    )
