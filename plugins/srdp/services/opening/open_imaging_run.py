"""Opening an imaging run: what a user asks of a MOUS, checked before anything is made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from srdp.domain.archiving.mous import Mous
from srdp.domain.common.errors import Faults
from srdp.domain.common.form_fields import said
from srdp.domain.imaging.request import ImagingRequest, imaging_request
from srdp.domain.imaging.size import check_image_sizes
from srdp.domain.ppr.document import check_recipe
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.site.engine_names import EngineName
from srdp.families import ALMA
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.engines import record_engine
from srdp.services.context import Origin, SiteContext
from srdp.services.opening.open_run import (
    Resources,
    asked_or,
    check_site,
    choose_engine,
    make_directory_of_opened_run,
)
from srdp.services.processing.imaged_mous import mous_of_run, record_mous
from srdp.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImagingForm:
    """What the form says of the images, as texts; see :func:`srdp.domain.imaging.request.imaging_request`.

    Attributes:
        mous: the MOUS's UID.
        fields: the names of the fields to image.
        continuum: whether a continuum image is made of each.
        cubes: the cubes.
        angular_resolution_arcsec: the resolution that is wanted, in arcseconds.
        self_calibration: whether the data are self-calibrated.
        user: for whom it is asked; empty: for who triggered the DAG run.
        user_email: that person's address.
        recipe: the name of the PPR template.
    """

    mous: str
    fields: str
    continuum: str | bool
    cubes: str | None
    angular_resolution_arcsec: str | float | None
    self_calibration: str | bool
    user: str | None
    user_email: str | None
    recipe: str


def open_imaging_run(
    site: SiteContext, origin: Origin, form: ImagingForm, resources: Resources, faults: Faults
) -> PipelineRun:
    """Open a run that images a MOUS as a user asks, or find the one that this DAG run has opened before.

    Args:
        site: settings and ledger.
        origin: who opens it.
        form: what is asked for.
        resources: engine, cores and memory; by default those of the settings.
        faults: what is known to be wrong with the form; it is told with what is found here.

    Raises:
        InvalidInput: something is wrong with the form, or the archive has no such MOUS.
        Refused: the pipeline could not make it or would make it otherwise, the images are too large, the archive does
            not have the calibration, or the request has an active run or is sealed; or the DAG run's run has ended or
            was delivered.
        StorageUnavailable: an area is not there, full, or not writable now.
        SettingsError: the pipeline is not there.
        ServiceUnavailable: the ledger or the archive cannot be reached.
    """
    settings, ledger = site.settings, site.ledger
    run = ledger.runs.of_dag_run(*origin.dag_run)
    chosen = settings.engine
    with faults.collected():
        chosen = choose_engine(site, resources.engine)
    if run is None:
        run = _open(site, origin, form, resources, chosen, faults)
    else:
        mous_of_run(site.of_run(run))
    record_engine(ledger, run.pipeline_run_id, chosen)
    make_directory_of_opened_run(settings, run)
    return run


def _open(
    site: SiteContext, origin: Origin, form: ImagingForm, resources: Resources, chosen: EngineName, faults: Faults
) -> PipelineRun:
    """Check everything, and only then make the ledger's row."""
    settings = site.settings
    with faults.collected():
        check_recipe(ALMA.recipes(settings), form.recipe, label=ALMA.label, variables=ALMA.recipe_variables)
    with faults.together():
        request = _request(form, origin)
    check_site(settings, settings.casa_release, ALMA)
    mous = ArchiveHook(settings).mous(request.mous)
    locator = mous.calibration_locator
    warnings = _check_sizes(settings, request, mous)
    run = site.ledger.runs.open(
        kind=ALMA.kind,
        subject=mous.uid,
        project=mous.project,
        locator=mous.uid,
        recipe=form.recipe,
        cores=asked_or(resources.cores, settings.cores_of(chosen)),
        memory_gb=asked_or(resources.memory_gb, settings.memory_gb_of(chosen)),
        casa_release=settings.casa_release,
        request_digest=request.digest,
        asked=request.as_json(),
        warnings=warnings,
        **asdict(origin),
    )
    record_mous(site.of_run(run), mous)
    log.info("%s images %d ASDMs, restored from %s.", run.pipeline_run_id, len(mous.asdms), locator)
    return run


def _request(form: ImagingForm, origin: Origin) -> ImagingRequest:
    return imaging_request(
        mous=form.mous,
        fields=form.fields,
        continuum=form.continuum,
        cubes=form.cubes,
        angular_resolution_arcsec=form.angular_resolution_arcsec,
        self_calibration=form.self_calibration,
        asked_by=said(form.user) or origin.requested_by,
        asked_by_email=form.user_email,
        requested_by=origin.requested_by,
    )


def _check_sizes(settings: Settings, request: ImagingRequest, mous: Mous) -> Sequence[str]:
    """Refuse what is too large; return the warnings of what the pipeline will not make as it was asked."""
    sizes = check_image_sizes(
        request,
        settings.image_size_limits,
        nominal_resolution_arcsec=mous.resolution_arcsec,
        nominal_frequency_ghz=mous.frequency_ghz,
    )
    for warning in sizes.warnings:
        log.warning("%s", warning)
    log.info("%d images, about %.3f GB in all.", len(sizes.images), sizes.products_gb)
    return sizes.warnings
