"""Where the project and its runs lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from srdp.domain.common.errors import SettingsError
from srdp.domain.runs.areas import (
    CACHE,
    CACHE_IN_PROCESSING,
    SPOOL,
    fault_of_analysts_folder,
    faults_of_paths,
)
from srdp.domain.runs.pipeline_run import Areas
from srdp.families import Family, families
from srdp.settings.values import AbsolutePath, SettingsGroup, split_commas

#: The settings of the processing area and the QA area that runs have whose family has none of its own.
_AREAS: Final = ("processing_area", "qa_area")


class AreaSettings(SettingsGroup):
    """Where the project and its runs lie."""

    TITLE: ClassVar[str] = "Folders"

    home: AbsolutePath = Field(description="The project's own folder, which holds `include/`.")
    families: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)] = Field(
        default=(),
        description="Families of requests beside the two that the project has, separated by commas: packages in "
        "`plugins/`, or folders of packages; see `docs/adding-a-family.md`.",
    )
    processing_area: AbsolutePath = Field(
        description="Where runs are fetched and calibrated. Mark each area once: `srdp.check --prepare-areas`."
    )
    qa_area: AbsolutePath = Field(description="Where finished runs wait for a data analyst's verdict.")
    spool_area: AbsolutePath = Field(description="Where jobs keep their records; on the same shared file system.")
    alma_processing_area: AbsolutePath | None = Field(
        default=None, description="Where ALMA runs are fetched and imaged. Not set: the processing area above."
    )
    alma_qa_area: AbsolutePath | None = Field(
        default=None, description="Where images wait for the verdict on them. Not set: the QA area above."
    )
    cache_area: AbsolutePath | None = Field(
        default=None,
        description="Where calibrated measurement sets are kept for users, on the same file system as the areas. Not "
        "set: `calibrated_measurement_sets` in the processing area; it alone may be in another area.",
    )
    analyst_files: Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(split_commas)] = Field(
        default=(),
        description="Folders, separated by commas, from which a data analyst may give files by path, besides the "
        "processing and the QA area. None may hold an area, the project or Airflow's own folder, or be one of the "
        "system's, such as `/etc`.",
    )

    @model_validator(mode="after")
    def _areas_lie_apart(self) -> Self:
        faults = [*faults_of_paths(self.named_areas(), self.home), *self._faults_of_analysts_folders()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_analysts_folders(self) -> Iterator[str]:
        for folder in self.analyst_files:
            fault = fault_of_analysts_folder(folder, self._own_folders)
            if fault is not None:
                yield fault

    @property
    def _own_folders(self) -> dict[str, Path]:
        airflow = os.environ.get("AIRFLOW_HOME")
        return {**self.named_areas(), "SRDP_HOME": self.home} | ({"AIRFLOW_HOME": Path(airflow)} if airflow else {})

    def folders_of_submitted_files(self) -> tuple[Path, ...]:
        """Return the folders from which a data analyst may give files by path.

        Raises:
            SettingsError: one of them is a link to a folder that none may be.
        """
        own = {name: Path(os.path.realpath(place)) for name, place in self._own_folders.items()}
        for folder in self.analyst_files:
            fault = fault_of_analysts_folder(Path(os.path.realpath(folder)), own)
            if fault is not None:
                raise SettingsError(f"{fault}.")
        return (*self.areas.roots, *self.analyst_files)

    def named_areas(self, family: Family | None = None) -> dict[str, Path]:
        """Return the areas by the variables that name them.

        Args:
            family: whose areas; those of all families if none is given.
        """
        named = {SPOOL: self.spool_area}
        for each in families() if family is None else (family,):
            settings = each.own_areas or _AREAS
            for own, shared, area in zip(settings, _AREAS, self.areas.of_prefix(each.name), strict=True):
                named[f"SRDP_{(shared if area == getattr(self, shared) else own).upper()}"] = area
        if self.cache_area is not None and (family is None or family.contents.calibrates):
            named[CACHE] = self.cache_area
        return named

    @property
    def areas(self) -> Areas:
        """The roots that run directories are in."""
        return Areas(
            processing=self.processing_area,
            qa=self.qa_area,
            spool=self.spool_area,
            own={
                family.name: (
                    getattr(self, family.own_areas[0]) or self.processing_area,
                    getattr(self, family.own_areas[1]) or self.qa_area,
                )
                for family in families()
                if family.own_areas is not None
            },
        )

    @property
    def measurement_set_cache(self) -> Path:
        """Where calibrated measurement sets are kept for users."""
        return self.cache_area or self.processing_area / CACHE_IN_PROCESSING

    @property
    def sql(self) -> Path:
        """The folder of SQL statements and schemas."""
        return self.home / "include" / "sql"

    @property
    def casa_programs(self) -> Path:
        """The folder of what CASA's own Python runs."""
        return self.home / "include" / "casa"

    @property
    def templates(self) -> Path:
        """The folder of PPR and mail templates."""
        return self.home / "include" / "templates"
