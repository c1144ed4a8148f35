"""What a batch engine needs of a batch system: the protocol, and the two ways in which a question fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from srdp.domain.common.errors import ServiceUnavailable, SrdpError
from srdp.domain.site.engine_options import BatchOptions
from srdp.engines.base import Job, Limit, QueuedJob


class SubmissionRefused(SrdpError):
    """The batch system refused a job: it has none of this submission."""


class NoAnswer(ServiceUnavailable):
    """The batch system gave no answer: it is not known whether it did what it was asked."""


class BatchSystem(Protocol):
    """What a batch engine needs of a batch system. Every method returns or raises within the time limit of its options.

    Attributes:
        title: what people call it.
        variable: how the variables of its settings begin, for example ``SRDP_SLURM``.
    """

    title: str
    variable: str

    @property
    def options(self) -> BatchOptions:
        """The settings."""

    def check(self) -> str:
        """Return that it answers and has what the settings name, as a sentence.

        Raises:
            NoAnswer: it does not.
        """

    def submit(self, job: Job, command: Sequence[str], log: Path) -> str:
        """Hand a job over, never to be started again by itself; return the batch system's own name of it.

        Args:
            job: its name, cores and memory; the rest is in its records.
            command: what is to run on the node.
            log: where the command's output goes, behind what is there.

        Raises:
            SubmissionRefused: it was surely not taken.
            NoAnswer: it may have been taken.
        """

    def queued(self) -> Mapping[str, QueuedJob]:
        """Return every job of the service by its name, by one question; of several of a name, the furthest.

        Raises:
            NoAnswer: there was none that can be relied upon.
        """

    def logged(self, folder: Path) -> QueuedJob | None:
        """Return what the batch system has written of a job into the job's folder; ``None`` if it writes nothing."""

    def remove(self, name: str) -> None:
        """Have every job of a name ended; return without waiting for that.

        Raises:
            NoAnswer: nobody knows whether that was heard.
        """

    def limit_in_log(self, log: str) -> Limit | None:
        """Return for which limit the job was ended, if the end of its log says so."""
