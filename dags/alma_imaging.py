"""### ALMA imaging

Images one ALMA member observing unit set (MOUS) as a user asks, with the CASA pipeline, and hands the images to the QA
area, where they wait for the verdict of the data analyst to whom the operations manager assigns them.

| step | what it does |
|---|---|
| Open the run | checks the request and how large its images would be, and makes nothing if anything is wrong |
| Fetch raw data from NGAS | the ASDMs and their calibration, every file by size and checksum, into `rawdata/` |
| Write the PPR | the recipe with what was asked, as `working/PPR.xml` |
| Run CASA | as a job of its own, which survives a restart of Airflow |
| Judge the outcome | proves it by stages, images and unchanged raw data; CASA's exit status proves nothing |
| Deliver to the QA area | the directory moves, under the same name |
| Ask who reviews it | starts `alma_assign_qa`, which waits for the operations manager's answer |
| Tell the operations manager it is ready for review | mail with the images, the QA scores and the weblog |
| Report the failure | only when a step failed: the run stays in the processing area, and a mail says what to do |

A request is the MOUS and what is asked of it: the same request is refused while a run of it is active, and when one has
passed QA; another request for the same MOUS is not. To stop a run, mark the step that is running as failed: its CASA
job is cancelled with it.

Over the API, `fields` may be a list of names, and `cubes` a list of objects with the keys `field`, `spw`,
`rest_frequency_ghz`, `start`, `width` and `channels`.
"""

from __future__ import annotations

from airflow.sdk import Param, dag

from srdp.domain.families import ALMA
from srdp.domain.identifiers import MOUS_PATTERN
from srdp.operators.open_imaging_run import OpenImagingRunOperator
from srdp.task_groups.forms import list_param, listed, recipe_param, resource_params, text_param, truth_param
from srdp.task_groups.pipeline_road import DEFAULT_ARGS, MAX_ACTIVE_RUNS, OPEN_RUN, pipeline_road

USER, SITE = "Who asks", "How it is run"


@dag(
    dag_display_name="ALMA imaging",
    description="Image one ALMA MOUS as a user asks and hand the images to the QA area",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["alma", "imaging"],
    doc_md=__doc__,
    params={
        "mous": Param(
            type="string",
            title="MOUS",
            description="The UID of the member observing unit set.",
            examples=["uid://A001/X1288/X3f"],
            pattern=MOUS_PATTERN,
            maxLength=64,
        ),
        "fields": list_param(
            "Fields", "The names of the sources to image, one a line.", examples=["TW_Hya"], required=True
        ),
        "continuum": truth_param("Continuum", "Make an image of the continuum of each field.", default=True),
        "cubes": list_param(
            "Cubes",
            "One a line: field, spw, rest frequency in GHz, start, width, channels; for example "
            "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80. Start and width are velocities (LSRK, radio), frequencies or "
            "numbers of channels; no width is finer than the data's channels.",
            examples=["TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80"],
        ),
        "angular_resolution_arcsec": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=100,
            title="Angular resolution [arcsec]",
            description="The resolution that is wanted. Empty: that of the data.",
        ),
        "self_calibration": truth_param("Self-calibration", "Calibrate the target on itself before it is imaged."),
        "asked_by": text_param("Name", "Empty: who triggers this.", maxLength=200, section=USER),
        "asked_by_email": text_param("E-mail", "Where that person can be told of it.", maxLength=254, section=USER),
        "recipe": recipe_param("alma_imaging", section=SITE),
        **resource_params(section=SITE),
    },
)
def alma_imaging() -> None:
    # Mapped over its one MOUS, so that the grid shows its UID on a run that was started by form.
    opened = OpenImagingRunOperator.partial(
        task_id=OPEN_RUN,
        task_display_name="Open the run",
        map_index_template="{{ task.mous }}",
        fields=listed("fields"),
        continuum="{{ params.continuum }}",
        cubes=listed("cubes"),
        angular_resolution_arcsec="{{ params.angular_resolution_arcsec }}",
        self_calibration="{{ params.self_calibration }}",
        user="{{ params.asked_by }}",
        user_email="{{ params.asked_by_email }}",
        recipe="{{ params.recipe }}",
        cores="{{ params.cores }}",
        memory_gb="{{ params.memory_gb }}",
    ).expand(mous=["{{ params.mous }}"])
    pipeline_road(opened, ALMA)


alma_imaging()
