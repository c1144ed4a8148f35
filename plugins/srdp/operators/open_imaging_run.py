"""Opening an imaging run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.families import ALMA, Family
from srdp.operators.base import SrdpOperator, origin_of
from srdp.operators.failure import report_nothing_opened

if TYPE_CHECKING:
    from airflow.sdk import Context


class OpenImagingRunOperator(SrdpOperator):
    """Opens a pipeline run that images one ALMA MOUS as a user asks, and returns its pipeline run ID.

    The ledger's row comes first, then what the archive says of the MOUS, and the directory last; each is found again
    when the task is repeated: a DAG run opens one pipeline run, however often this task is tried or cleared.

    Args:
        mous: the MOUS's UID (templated).
        fields: the names of the fields to image; see :func:`srdp.domain.imaging.request.imaging_request` (templated).
        continuum: whether a continuum image is made of each; a truth value as text (templated).
        cubes: the cubes; likewise (templated).
        angular_resolution_arcsec: the resolution that is wanted, in arcseconds (templated).
        self_calibration: whether the data are self-calibrated; a truth value as text (templated).
        user: for whom it is asked; empty: for who triggered the DAG run, who is recorded beside (templated).
        user_email: that person's address (templated).
        recipe: the name of the PPR template (templated).
        engine: one of the engines that the settings allow; empty or ``None`` means the setting ``engine`` (templated).
        cores: cores to ask the engine for; empty or ``None`` means the engine's or the site's setting (templated).
        memory_gb: memory to ask the engine for, in GB; likewise (templated).

    Note:
        It refuses what the pipeline could not make or would make otherwise, images that are too large, a MOUS whose
        calibration the archive does not have, and a request that has an active run or is sealed. Another request for
        the same MOUS is no obstacle.
    """

    collects_faults = True
    template_fields: Sequence[str] = (
        "mous", "fields", "continuum", "cubes", "angular_resolution_arcsec", "self_calibration", "user", "user_email",
        "recipe", "engine", "cores", "memory_gb",
    )  # fmt: skip

    def __init__(
        self,
        *,
        mous: str,
        fields: str,
        continuum: str | bool,
        recipe: str,
        cubes: str | None = None,
        angular_resolution_arcsec: str | float | None = None,
        self_calibration: str | bool = False,
        user: str | None = None,
        user_email: str | None = None,
        engine: str | None = None,
        cores: str | int | None = None,
        memory_gb: str | int | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(**kwargs)
        self.mous = mous
        self.fields = fields
        self.continuum = continuum
        self.cubes = cubes
        self.angular_resolution_arcsec = angular_resolution_arcsec
        self.self_calibration = self_calibration
        self.user = user
        self.user_email = user_email
        self.recipe = recipe
        self.engine = engine
        self.cores = cores
        self.memory_gb = memory_gb

    def family(self) -> Family:
        """Return the family of the run."""
        return ALMA

    def run_step(self, context: Context) -> str:
        """Open the run; return its pipeline run ID."""
        from srdp.services.context import site_context
        from srdp.services.opening.open_imaging_run import ImagingForm, open_imaging_run
        from srdp.services.opening.open_run import Resources

        form = ImagingForm(
            mous=self.mous,
            fields=self.fields,
            continuum=self.continuum,
            cubes=self.cubes,
            angular_resolution_arcsec=self.angular_resolution_arcsec,
            self_calibration=self.self_calibration,
            user=self.user,
            user_email=self.user_email,
            recipe=self.recipe,
        )
        resources = Resources(engine=self.engine, cores=self.cores, memory_gb=self.memory_gb)
        return open_imaging_run(site_context(), origin_of(context), form, resources, self.faults).pipeline_run_id

    def refused(self, context: Context, refusal: str) -> None:
        """Tell of a refusal by mail too: the archive's front end asks as a person does, and looks at no grid."""
        super().refused(context, refusal)
        report_nothing_opened(context, str(self.task_display_name), refusal)
