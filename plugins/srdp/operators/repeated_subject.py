"""What a rerun asks and tells the archive about that which is made again; the one place where families differ in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION
from srdp.domain.runs.states import RunState
from srdp.operators.open_run import check_calibratable

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from srdp.domain.analyst_files.selections.observed import Observed
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.runs.subject import Asdm
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

#: The event by which a rerun says that its execution block may be calibrated again after a failed QA.
_SET_BACK: Final = "execution_block_set_back"


def _nothing() -> Observed:
    from srdp.domain.analyst_files.selections.observed import Observed

    return Observed()


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What the archive says of that which is made again.

    Attributes:
        project: the project code.
        locator: the archive's key of it.
        observed: what it knows of the observation.
        asdms: the ASDMs of a MOUS.
    """

    project: str
    locator: str
    observed: Observed = field(default_factory=_nothing)
    asdms: tuple[Asdm, ...] = ()


class RepeatedSubject(ABC):
    """That which reruns of one kind of request make again, in the archive.

    Args:
        settings: the archive.
        ledger: the runs.
        log: the task's log.
    """

    #: What a person may name it by, in a sentence.
    named: ClassVar[str]

    def __init__(self, settings: Settings, ledger: VerdictLedger, log: Logger) -> None:
        self.settings = settings
        self.ledger = ledger
        self.log = log

    @abstractmethod
    def archived(self, former: PipelineRun) -> Archived:
        """Return what the archive says; change nothing there.

        Args:
            former: the run that is to be repeated.

        Raises:
            InvalidInput: the archive does not have it.
            Refused: it is not to be made again.
            ServiceUnavailable: the archive cannot be reached.
        """

    @abstractmethod
    def opened(self, run: PipelineRun) -> None:
        """Record what the rerun is made of, and tells the archive what it must know; may be repeated.

        Args:
            run: the rerun.

        Raises:
            InvalidInput: the archive does not have it any more.
            ServiceUnavailable: the archive cannot be reached.
        """


class _ExecutionBlock(RepeatedSubject):
    """A VLA execution block, which a failed QA marks, and a rerun sets back."""

    named = "the name of a VLA execution block"

    def archived(self, former: PipelineRun) -> Archived:
        from srdp.hooks.archive import ArchiveHook

        block = ArchiveHook(self.settings).execution_block(former.subject)
        if not self._failed_qa(former):
            check_calibratable(block)
        from srdp.domain.analyst_files.selections.observed import Observed

        observed = Observed(start=block.observed_start, end=block.observed_end)
        return Archived(project=block.project, locator=block.locator, observed=observed)

    def opened(self, run: PipelineRun) -> None:
        from srdp.domain.runs.execution_block import DO_NOT_CALIBRATE, READY
        from srdp.domain.runs.identifiers import locator
        from srdp.hooks.archive import ArchiveHook

        # Not later: somebody may have marked it for another reason since.
        if run.state is not RunState.CREATED or not self._failed_qa(run):
            return
        archive = ArchiveHook(self.settings)
        if archive.execution_block(run.subject).calibration_status == DO_NOT_CALIBRATE:
            archive.set_calibration_status(locator(run.locator), READY)
            self.log.info("%s had failed QA and is set back to %s in the archive.", run.subject, READY)
        self.ledger.record(run.pipeline_run_id, _SET_BACK, once=True)

    def _failed_qa(self, run: PipelineRun) -> bool:
        """Whether a run of the request failed QA, so that we marked the execution block, and no rerun set it back."""
        marked = []
        for sibling in self.ledger.runs_of_request(run.kind, run.subject, run.request_digest):
            events = self.ledger.events(sibling.pipeline_run_id)
            marked += [(event.happened_at, True) for event in events if event.state_after is RunState.REJECTED]
            marked += [(event.happened_at, False) for event in events if event.event == _SET_BACK]
        return max(marked)[1] if marked else False


class _Mous(RepeatedSubject):
    """An ALMA MOUS, which a failed QA of its images does not mark."""

    named = "the UID of an ALMA MOUS"

    def archived(self, former: PipelineRun) -> Archived:
        from srdp.operators.imaged_mous import mous_of_rerun

        mous = mous_of_rerun(self.settings, self.ledger, former)
        # What cannot be restored is refused here, and not by the fetch.
        self.log.info("%s is imaged from the calibration %s.", mous.uid, mous.calibration_locator)
        return Archived(project=mous.project, locator=mous.uid, asdms=mous.named_asdms)

    def opened(self, run: PipelineRun) -> None:
        from srdp.operators.imaged_mous import mous_of_run

        # Not later: the raw data of the former run may be removed by then.
        mous_of_run(self.settings, self.ledger, run)


#: Kind of request -> what its reruns make again.
REPEATED: Final[Mapping[str, type[RepeatedSubject]]] = MappingProxyType(
    {VLA_CALIBRATION: _ExecutionBlock, ALMA_IMAGING: _Mous}
)
