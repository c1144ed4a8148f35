"""What is kept for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from srdp.domain.retention.brake import Brake
from srdp.settings.values import AbsolutePath, SettingsGroup


class RetentionSettings(SettingsGroup):
    """What is kept for how long."""

    TITLE: ClassVar[str] = "Retention"

    retention_file: AbsolutePath | None = Field(
        default=None,
        description="The text file that says what is kept for how long. Not set: `include/retention.txt`.",
    )
    expiry_most_runs: int = Field(
        default=100,
        ge=0,
        description="An expiry that would remove more runs and measurement sets than this removes nothing, and "
        "asks the operations managers.",
    )
    expiry_largest_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Likewise one that would remove a larger share of all that is there, if more than ten would go.",
    )
    expiry_youngest_days: float = Field(
        default=1.0,
        ge=0,
        description="Likewise one that would remove what came into its state, or into the cache, fewer days ago.",
    )
    own_dag_runs_days: int = Field(
        default=30,
        ge=1,
        description="For how many days Airflow keeps DAG runs of what works by itself (`watch_observations`, "
        "`send_mails_and_reconcile`, `expire_processing_area`, `check_settings`).",
    )
    dag_runs_days: int = Field(
        default=365,
        ge=30,
        description="Likewise those of all other DAGs of the workflows. One that is not at its end is never removed, "
        "nor is a younger one of its DAG.",
    )
    log_days: int = Field(
        default=90,
        ge=1,
        description="Likewise log files of tasks and of the DAG processor, since they were written.",
    )
    largest_clock_difference_minutes: float = Field(
        default=5.0,
        gt=0,
        description="If the ledger's clock and a host's differ by more, nothing is removed for its age.",
    )

    @property
    def expiry_brake(self) -> Brake:
        """How much an expiry removes without asking."""
        return Brake(
            most=self.expiry_most_runs,
            largest_share=self.expiry_largest_share,
            youngest=timedelta(days=self.expiry_youngest_days),
        )
