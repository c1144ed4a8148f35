"""How runs are begun: what a PPR says, the fetch, waiting, and which observations are calibrated by themselves."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from srdp.domain.imaging.size import SizeLimits
from srdp.domain.runs.retry import DEFAULT_HOURS
from srdp.settings.values import SettingsGroup, date_or_nothing


class ProcessingSettings(SettingsGroup):
    """How runs are begun: what a PPR says, the fetch, waiting, and which observations are calibrated by themselves."""

    TITLE: ClassVar[str] = "Beginning runs"

    processing_site: str = Field(
        default="Socorro", pattern=r"^[A-Za-z ]{1,40}$", description="`ProcessingSite` in a PPR that is written."
    )
    operator: str = Field(
        default="vlapipe", pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="`Operator` in a PPR that is written."
    )
    alma_processing_site: str = Field(
        default="Charlottesville", pattern=r"^[A-Za-z ]{1,40}$", description="Likewise `ProcessingSite` of ALMA."
    )
    alma_operator: str = Field(
        default="almapipe", pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="Likewise `Operator` of ALMA."
    )
    alma_max_cube_gb: float = Field(
        default=100.0, gt=0, description="The size, in GB, above which the pipeline makes an ALMA cube smaller."
    )
    alma_max_cube_limit_gb: float = Field(
        default=120.0, gt=0, description="The size, in GB, above which a request for a cube is refused."
    )
    alma_max_product_gb: float = Field(
        default=10_000.0, gt=0, description="The total size of its products, in GB, above which a request is refused."
    )
    fetch_streams_per_server: int = Field(
        default=4, ge=1, le=10, description="Files fetched at once from one NGAS server; more than 10 are refused."
    )
    fetch_spare_gb: float = Field(
        default=1.0, ge=0, description="Space, in GB, that must stay free in the processing area after a fetch."
    )
    retry_hours: float = Field(
        default=DEFAULT_HOURS,
        gt=0,
        le=168,
        description="How long a step waits for a server or a file system that is away, busy, full or not writable, "
        "before it fails. It tries again at least every ten minutes.",
    )
    watch_poll_seconds: float = Field(
        default=10.0, ge=1, le=25, description="How often the archive is asked for new execution blocks."
    )
    watch_overlap_minutes: float = Field(
        default=60.0,
        ge=0,
        le=1440,
        description="How far before the watermark the archive is asked again, for rows that were committed late.",
    )
    watch_backlog_from: Annotated[str, AfterValidator(date_or_nothing)] = Field(
        default="",
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="Calibrate what was ingested from this date on (UTC, `YYYY-MM-DD`) although it was there before "
        "the first start. Empty: nothing.",
    )
    watch_backlog_per_day: int = Field(
        default=10, ge=0, le=10000, description="How many execution blocks of the backlog are started in 24 hours."
    )
    watch_runs_at_once: int = Field(
        default=3,
        ge=1,
        le=10000,
        description="No calibration is started by itself while so many are under way, from their start to their "
        "delivery or failure, no matter who started them; the others wait for a place, the oldest first. At least as "
        "many as the pool `casa` has slots, and some that fetch meanwhile. Runs that are started by hand do not wait.",
    )

    @property
    def image_size_limits(self) -> SizeLimits:
        """How large the images of an ALMA request may be."""
        return SizeLimits(
            cube=self.alma_max_cube_gb, cube_limit=self.alma_max_cube_limit_gb, products=self.alma_max_product_gb
        )
