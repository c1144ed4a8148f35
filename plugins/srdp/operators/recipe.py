"""The PPR of a run from the recipe of its family."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.runs.subject import Asdm, Subject
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings


def processing_request_from_recipe(settings: Settings, run: PipelineRun, subject: Subject) -> bytes:
    """Return the PPR that a run has from its recipe.

    Args:
        settings: the settings.
        run: the run; its ID is the PPR's ``RelativePath``.
        subject: what it works on.

    Raises:
        InvalidInput: there is no such recipe, or no ASDM of the MOUS is known.
    """
    from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION

    renderers: Mapping[str, Callable[[Settings, PipelineRun, Subject], bytes]] = {
        VLA_CALIBRATION: _vla,
        ALMA_IMAGING: _alma,
    }
    return renderers[run.kind](settings, run, subject)


def archived_asdms(settings: Settings, ledger: LedgerHook, run: PipelineRun) -> Sequence[Asdm]:
    """Return the ASDMs of a run's MOUS, which are those that it fetches."""
    from srdp.operators.imaged_mous import mous_of_run

    return mous_of_run(settings, ledger, run).named_asdms


def _vla(settings: Settings, run: PipelineRun, subject: Subject) -> bytes:
    from srdp.domain.ppr.document import recipe_template, render_vla_processing_request
    from srdp.domain.runs.identifiers import execution_block_name

    return render_vla_processing_request(
        recipe_template(settings.templates, run.recipe),
        execution_block=execution_block_name(subject.name),
        pipeline_run_id=run.pipeline_run_id,
        processing_site=settings.processing_site,
        operator=settings.operator,
    )


def _alma(settings: Settings, run: PipelineRun, subject: Subject) -> bytes:
    from srdp.domain.archiving.mous import sessions_of
    from srdp.domain.imaging.request import ImagingRequest
    from srdp.domain.ppr.document import recipe_template, render_alma_processing_request
    from srdp.domain.runs.pipeline_run import processing_directory

    return render_alma_processing_request(
        recipe_template(settings.templates, run.recipe),
        request=ImagingRequest.from_json(run.asked),
        project=run.project,
        asdms=subject.asdms,
        sessions=sessions_of(subject.asdms, processing_directory(settings.areas, run.pipeline_run_id).rawdata),
        pipeline_run_id=run.pipeline_run_id,
        processing_site=settings.alma_processing_site,
        operator=settings.alma_operator,
        limits=settings.image_size_limits,
    )
