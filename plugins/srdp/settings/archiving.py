"""What is archived, under which names, and what is written into the archive."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from srdp.domain.archiving.image_products import DEFAULT_SCIENCE_PATTERNS
from srdp.domain.archiving.products import DEFAULT_ASSOCIATED_TAR_NAME, DEFAULT_TAR_NAME, check_tar_name_template
from srdp.settings.values import MimeType, SettingsGroup, Status, split_commas


class ArchivingSettings(SettingsGroup):
    """What is archived, under which names, and what is written into the archive."""

    TITLE: ClassVar[str] = "Archiving"

    ngas_ingest: bool = Field(
        default=True,
        description="Whether a pass puts files into NGAS. Without, no execution block becomes `Calibrated` and no run "
        "can be cleaned up.",
    )
    calibration_tar_name: Annotated[str, AfterValidator(check_tar_name_template)] = Field(
        default=DEFAULT_TAR_NAME, description="The name of a calibration's tar that users see in the archive."
    )
    alma_associated_tar_name: Annotated[str, AfterValidator(check_tar_name_template)] = Field(
        default=DEFAULT_ASSOCIATED_TAR_NAME,
        description="Likewise the tar of what was made beside ALMA's images and is no FITS file.",
    )
    alma_science_patterns: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^\s/]{1,200}$")], ...],
        NoDecode,
        BeforeValidator(split_commas),
        Field(min_length=1),
    ] = Field(
        default=DEFAULT_SCIENCE_PATTERNS,
        description="Which of ALMA's FITS files are science products: shell patterns of their names, separated by "
        "commas. Every other one is an ancillary product.",
    )
    tar_mime_type: MimeType = Field(
        default="application/x-tar", description="The mime type that NGAS is configured for, for a tar."
    )
    fits_mime_type: MimeType = Field(default="image/x-fits", description="Likewise for a FITS file.")
    weblog_mime_type: MimeType = Field(
        default="application/x-gzip", description="The mime type that NGAS is configured for, for a weblog."
    )
    one_good_copy_is_enough: bool = Field(
        default=False,
        description="Whether an archived run may be removed although NGAS holds a damaged copy of one of its files, or "
        "one that cannot be read now, beside a good one. Off: such a run is kept until the operators of NGAS have "
        "repaired the copy.",
    )
    status_after_pass: Status = Field(
        default="Calibrated", description="The execution block's status after an ingest with the QA flag Pass."
    )
    status_after_fail: Status = Field(default="Calibrated", description="Likewise with the QA flag Fail.")
    status_after_null: Status = Field(default="Calibrated", description="Likewise with the QA flag Null.")
    record_srdp_state: bool = Field(
        default=True, description="Whether the SRDP verdict is written into the archive; the ledger always has it."
    )
    reindex: Literal["off", "http", "sql"] = Field(
        default="sql", description="How the archive is asked to index a project again after an ingest."
    )
    reindex_url: Annotated[str, Field(pattern=r"^(https?://[^\s\"'<>]+)?$")] = Field(
        default="", description='With `http`: where to POST `{"project": ...}`; `{project}` in it is filled in.'
    )
