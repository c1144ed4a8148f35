"""Opening a rerun: a new run of a request, with the files of the run before it or others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srdp.families import Family, family_of
from srdp.operators.base import SrdpOperator, origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class OpenRerunOperator(SrdpOperator):
    """Opens the next run of a request that has runs already, and returns its pipeline run ID.

    Each file is the one that is given, else the one in the former run's ``working/``, else the one that the ledger has;
    what CASA wrote there by itself it writes again. All are linted, and everything is checked, before anything is made.
    Then the ledger's row comes first, with the files; then the archive is updated, if its family requires it (of a
    VLA execution block that had failed QA, that it is ``Ready`` again); the directory comes last. A DAG run opens one
    pipeline run, however often this task is tried or cleared, and with the files of the first time.

    Args:
        kind: the kind of the requests that it reruns, for example ``vla_calibration``.
        run_or_subject: a pipeline run ID, or what the runs work on (the name of an EB, the UID of a MOUS),
            whose newest run is meant (templated).
        files: what is given: for each file, by the name that people use, its absolute ``path`` or its ``text``; which
            there are for a kind says :func:`srdp.domain.analyst_files.names.file_names` (templated).
        adapt: whether the PPR is adapted to the files, where that follows from which stage reads which; a truth value
            as text (templated).
        casa_release: one of the CASA installations of the settings (templated).
        engine: one of the engines that the settings allow (templated).
        cores: cores to ask the engine for (templated).
        memory_gb: memory to ask the engine for, in GB (templated).
        reopen: whether a request that is sealed, or a run that is archived or superseded, may be run again; a truth
            value as text (templated).

    Note:
        Of the templated arguments, an empty one and the text ``None`` say nothing; CASA, engine, cores and memory are
        then those of the former run. A rerun of images is what the user had asked for of them.
    """

    collects_faults = True
    template_fields: Sequence[str] = (
        "run_or_subject", "files", "adapt", "casa_release", "engine", "cores", "memory_gb", "reopen",
    )  # fmt: skip

    def __init__(
        self,
        *,
        kind: str,
        run_or_subject: str,
        files: Mapping[str, Mapping[str, str | None]] | None = None,
        adapt: str | bool = False,
        casa_release: str | None = None,
        engine: str | None = None,
        cores: str | int | None = None,
        memory_gb: str | int | None = None,
        reopen: str | bool = False,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.run_or_subject = run_or_subject
        self.files = files
        self.adapt = adapt
        self.casa_release = casa_release
        self.engine = engine
        self.cores = cores
        self.memory_gb = memory_gb
        self.reopen = reopen

    def family(self) -> Family:
        """Return the family of the run."""
        return family_of(self.kind)

    def run_step(self, context: Context) -> str:
        """Open the rerun; return its pipeline run ID."""
        from srdp.services.context import site_context
        from srdp.services.opening.open_rerun import RerunForm, open_rerun
        from srdp.services.opening.open_run import Resources

        form = RerunForm(
            kind=self.kind,
            run_or_subject=self.run_or_subject,
            files=self.files or {},
            adapt=self.adapt,
            casa_release=self.casa_release,
            reopen=self.reopen,
        )
        resources = Resources(engine=self.engine, cores=self.cores, memory_gb=self.memory_gb)
        return open_rerun(site_context(), origin_of(context), form, resources, self.faults).pipeline_run_id
