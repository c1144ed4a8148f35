"""What all operators of this project share: a failure is one sentence, and only what may heal is tried again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from srdp.domain.common.errors import Faults, InvalidInput, Refused
from srdp.domain.common.mail import one_line
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.families import Family, family_of_run
from srdp.operators.failure_record import works_on_a_run
from srdp.operators.retrying import tried

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.services.context import Origin

#: Where steps wait for a worker that read, write or move a run's bytes, whose number is what the file system bears.
BYTES = "bytes"
#: Where steps wait for the worker that hands CASA to its engine, and in which a job of the local engine runs.
CASA = "casa"
#: The XCom that holds what a first task has refused; programs read it over Airflow's API.
REFUSAL_XCOM = "refusal"
# How much of a refusal the grid shows, in characters; Airflow keeps 250 of a mapped task's name.
_LONGEST_NAME = 230
_LONGEST_LOGIN = 200
# What a DAG run that nobody has triggered is called where people read who asked for it, by Airflow's word for it.
_WITHOUT_A_PERSON = {"operator_triggered": "another DAG", "scheduled": "its schedule"}


class SrdpOperator(BaseOperator):
    """Base of this project's operators: the work is in :meth:`run_step`, its errors are reported in one sentence.

    Built so that no operator has error handling of its own: the library raises :class:`SrdpError`, and what is tried
    again, for how long, is decided by the error's class and the task's policy; see :mod:`srdp.operators.retrying`.

    The first task of a DAG checks the form before anything else, in every DAG. What it refuses, by the form or by
    itself, is an answer to who asked and no failure: the task and all behind it are skipped, with the sentence.

    Before a step does anything, it finds out whether the areas are there: of one that is not mounted it would take it
    that nothing is in it.

    Attributes:
        work_queue: on which of Celery's queues the step waits for a worker, if not on the default one; other executors
            have no queues, and pass over it.
        collects_faults: whether :meth:`run_step` looks for more faults of the form and refuses them together with
            those in ``faults``; else these are refused before it.
        needs_areas: whether the step reads or writes in an area, or concludes something from what is in one.
        faults: what is wrong with the form.
    """

    work_queue: ClassVar[str | None] = None
    collects_faults: ClassVar[bool] = False
    needs_areas: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401  Airflow's own arguments
        super().__init__(**({"queue": self.work_queue} if self.work_queue else {}) | kwargs)
        self.faults = Faults()

    @abstractmethod
    def run_step(self, context: Context) -> object:
        """Do the work; what it returns becomes the task's XCom.

        Args:
            context: Airflow's context of the task.
        """

    def pre_execute(self, context: Context) -> None:
        """Check the form if this is the first task; Airflow calls this before :meth:`execute`."""
        from srdp.families.forms import FORMS

        if self._is_first():
            dag_run = context["dag_run"]
            # A site's own DAG, which uses a step of ours, has a form of its own.
            form = FORMS.get(dag_run.dag_id)
            self.faults = form.faults(dag_run.conf or {}) if form is not None else Faults()

    def execute(self, context: Context) -> object:
        """Run the step; see :meth:`run_step`.

        Raises:
            TryAgain: one sentence; it is waited for what it names.
            AirflowFailException: one sentence; trying again does not help.
            AirflowSkipException: one sentence; it was refused, and nothing was changed.
        """
        with self._reported(context):
            if not self.collects_faults:
                self.faults.refuse()
            # Problems of the form are reported first, and by the step itself if it looks for more.
            if not self.faults.sentences:
                self._check_areas()
            return self.run_step(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> object:
        """Run the method that a deferral named, under the same rules as :meth:`execute`."""
        with self._reported(context, begins=False):
            self._check_areas()
            result: object = super().resume_execution(next_method, next_kwargs, context)
            return result

    def family(self) -> Family | None:
        """Return the family whose areas the step needs; None: it needs those of all."""
        return None

    def _check_areas(self) -> None:
        from srdp.domain.runs.areas import check_areas
        from srdp.settings import load_settings

        if self.needs_areas:
            check_areas(load_settings().named_areas(self.family()))

    @contextmanager
    def _reported(self, context: Context, *, begins: bool = True) -> Iterator[None]:
        from srdp.hooks.postgres import connections_of_a_step

        with connections_of_a_step(), tried(self, context, begins=begins):
            try:
                yield
            except (Refused, InvalidInput) as error:
                if not self._is_an_answer(context):
                    raise
                self.log.error("%s", error)  # noqa: TRY400  a sentence, not a traceback
                self.refused(context, str(error))
                raise AirflowSkipException(f"Refused: {error}") from None

    def _is_an_answer(self, context: Context) -> bool:
        """Whether what is refused now is an answer to a person: one asked, and the DAG run has done nothing yet."""
        return self._is_first() and run_type(context) == "manual" and not works_on_a_run(context)

    def _is_first(self) -> bool:
        return self.get_dag() is not None and not self.upstream_task_ids

    def refused(self, context: Context, refusal: str) -> None:
        """Tell of a refusal where people look first, and programs: in the mapped task's name, and in an XCom.

        Args:
            context: Airflow's context of the task.
            refusal: the sentence.
        """
        context["ti"].xcom_push(key=REFUSAL_XCOM, value=refusal)
        if context.get("map_index_template") is not None:
            # A template, in which nothing of the sentence is one.
            context["map_index_template"] = "Refused: {{ refusal }}"
            cast("dict[str, object]", context)["refusal"] = refusal[:_LONGEST_NAME]


def asked_by(context: Context) -> str:
    """Return who asked for a DAG run: a person's login, or in words how it was triggered.

    The login is that of who was authenticated by Airflow, for its page or its API; a DAG run that is started by another
    one has that of the other. Nothing that a form says changes it.

    Args:
        context: the context of one of its tasks.
    """
    kind = run_type(context)
    person = one_line(context["dag_run"].triggering_user_name or "")[:_LONGEST_LOGIN]
    return person or _WITHOUT_A_PERSON.get(kind, kind)


def origin_of(context: Context) -> Origin:
    """Return the DAG run and who asked for it, as a service takes them.

    Args:
        context: the context of one of its tasks.
    """
    from srdp.services.context import Origin

    dag_run = context["dag_run"]
    return Origin(dag_run.dag_id, dag_run.run_id, asked_by(context))


def run_type(context: Context) -> str:
    """Return how a DAG run was started, by Airflow's word for it: ``manual``, ``scheduled``, ``operator_triggered``.

    Args:
        context: the context of one of its tasks.
    """
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))


class PipelineRunOperator(SrdpOperator):
    """Base of the steps of one pipeline run.

    Args:
        pipeline_run_id: the run (templated).
    """

    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str, **kwargs: Any) -> None:  # noqa: ANN401  Airflow's own arguments
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id

    def family(self) -> Family | None:
        """Return the family of the run; None if there is no such run."""
        try:
            return family_of_run(pipeline_run_id(self.pipeline_run_id))
        except InvalidInput:  # the step says so
            return None
