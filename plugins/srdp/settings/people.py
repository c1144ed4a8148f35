"""Who gets mail, and where people reach Airflow and the runs."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from srdp.settings.values import (
    Address,
    Addresses,
    Domain,
    OptionalAddresses,
    SettingsGroup,
    Url,
    split_commas,
    weblog_template,
)


class PeopleSettings(SettingsGroup):
    """Who gets mail, and where people reach Airflow and the runs."""

    TITLE: ClassVar[str] = "People and addresses"

    data_analysts: Addresses = Field(description="Who is notified about VLA runs; addresses separated by commas.")
    operations_managers: Addresses = Field(description="Who is notified about what needs an operator or an assignment.")
    alma_data_analysts: OptionalAddresses = Field(
        default=(), description="Who reviews ALMA images; runs are assigned to them. Empty: the data analysts above."
    )
    assignment_reminder_hours: float = Field(
        default=48.0,
        ge=0.01,
        le=8760,
        description="After how long a run that awaits its assignment, or the verdict of its "
        "analyst, is mailed about again, and then at the same interval.",
    )
    tell_who_asked: bool = Field(
        default=False,
        description="Whether the requester of images is notified by mail that they failed QA, with the reason; only if "
        "no other version of the request is left.",
    )
    mail_domains: Annotated[tuple[Domain, ...], NoDecode, BeforeValidator(split_commas)] = Field(
        default=(),
        description="Domains, separated by commas and each with what is below it, to which mail may go beside the "
        "addresses of the settings: the requester of images is notified only there. Empty: none.",
    )
    mail_from: Address = Field(description="The do-not-reply address that mails come from.")
    airflow_url: Url = Field(description="Where people reach Airflow; links in mails begin with it.")
    airflow_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)] = Field(
        default=(),
        description="The names of hosts, separated by commas, under which the API server is reached, by people and by "
        "workers; it refuses a request that names another one (`plugins/srdp_hosts.py`). Empty: every one.",
    )
    run_files_url: Url = Field(
        description="Where people reach run directories; `<this>/<pipeline run ID>/` shows a run's directory, in "
        "either area."
    )
    weblog_url: Annotated[Url, AfterValidator(weblog_template)] = Field(
        description="A weblog's address, with `{pipeline_run_id}` and `{weblog}` (the weblog's path in the run "
        "directory, `working/pipeline-<time>/html`) filled in."
    )

    @property
    def imaging_analysts(self) -> tuple[str, ...]:
        """Who reviews ALMA images; runs are assigned to them."""
        return self.alma_data_analysts or self.data_analysts

    def may_be_mailed(self, address: str) -> bool:
        """Return whether mail may go to an address: to those of the settings, and into the domains that they allow.

        Args:
            address: the address; it may come from a form.
        """
        those = {*self.data_analysts, *self.alma_data_analysts, *self.operations_managers}
        domain = f".{address.rpartition('@')[2]}".lower()
        return address in those or any(domain.endswith(f".{each}".lower()) for each in self.mail_domains)
