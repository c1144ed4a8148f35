"""Opening an imaging run: what a user asks of a MOUS, checked before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.families import ALMA, Family
from srdp.operators.base import SrdpOperator, asked_by
from srdp.operators.imaged_mous import record_mous
from srdp.operators.open_run import asked_or, check_site, choose_engine, make_directory_of_opened_run, opened_by

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.archiving.mous import Mous
    from srdp.domain.imaging.request import ImagingRequest
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.site.engine_names import EngineName
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings


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
        from srdp.hooks.engines import record_engine
        from srdp.hooks.ledger import LedgerHook
        from srdp.operators.imaged_mous import mous_of_run
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        dag_run = context["dag_run"]
        run = ledger.run_of_dag_run(dag_run.dag_id, dag_run.run_id)
        chosen = settings.engine
        with self.faults.collected():
            chosen = choose_engine(settings, ledger, self.engine)
        if run is None:
            run = self._open(settings, ledger, chosen, context)
        else:
            mous_of_run(settings, ledger, run)
        record_engine(ledger, run.pipeline_run_id, chosen)
        make_directory_of_opened_run(settings, run, self.log)
        return run.pipeline_run_id

    def refused(self, context: Context, refusal: str) -> None:
        """Tell of a refusal by mail too: the archive's front end asks as a person does, and looks at no grid."""
        from srdp.operators.failure import tell_that_nothing_was_opened

        super().refused(context, refusal)
        tell_that_nothing_was_opened(context, str(self.task_display_name), refusal)

    def _open(self, settings: Settings, ledger: LedgerHook, chosen: EngineName, context: Context) -> PipelineRun:
        """Check everything, and only then makes the ledger's row."""
        from srdp.domain.ppr.document import check_recipe
        from srdp.hooks.archive import ArchiveHook

        with self.faults.collected():
            check_recipe(ALMA.recipes(settings), self.recipe, label=ALMA.label, variables=ALMA.recipe_variables)
        with self.faults.together():
            request = self._request(context)
        check_site(settings, settings.casa_release, ALMA)
        mous = ArchiveHook(settings).mous(request.mous)
        locator = mous.calibration_locator
        warnings = self._check_sizes(settings, request, mous)
        run = ledger.open_run(
            kind=ALMA.kind,
            subject=mous.uid,
            project=mous.project,
            locator=mous.uid,
            recipe=self.recipe,
            cores=asked_or(self.cores, settings.cores_of(chosen)),
            memory_gb=asked_or(self.memory_gb, settings.memory_gb_of(chosen)),
            casa_release=settings.casa_release,
            request_digest=request.digest,
            asked=request.as_json(),
            warnings=warnings,
            **opened_by(context),
        )
        record_mous(ledger, run, mous)
        self.log.info("%s images %d ASDMs, restored from %s.", run.pipeline_run_id, len(mous.asdms), locator)
        return run

    def _request(self, context: Context) -> ImagingRequest:
        from srdp.domain.common.form_fields import said
        from srdp.domain.imaging.request import imaging_request

        return imaging_request(
            mous=self.mous,
            fields=self.fields,
            continuum=self.continuum,
            cubes=self.cubes,
            angular_resolution_arcsec=self.angular_resolution_arcsec,
            self_calibration=self.self_calibration,
            asked_by=said(self.user) or asked_by(context),
            asked_by_email=self.user_email,
            requested_by=asked_by(context),
        )

    def _check_sizes(self, settings: Settings, request: ImagingRequest, mous: Mous) -> Sequence[str]:
        """Refuses what is too large; returns the warnings of what the pipeline will not make as it was asked."""
        from srdp.domain.imaging.size import check_image_sizes

        sizes = check_image_sizes(
            request,
            settings.image_size_limits,
            nominal_resolution_arcsec=mous.resolution_arcsec,
            nominal_frequency_ghz=mous.frequency_ghz,
        )
        for warning in sizes.warnings:
            self.log.warning("%s", warning)
        self.log.info("%d images, about %.3f GB in all.", len(sizes.images), sizes.products_gb)
        return sizes.warnings
