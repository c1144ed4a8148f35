"""What the families' PPRs differ in, and where a linter notes what is wrong in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from srdp.domain.common.lint import Notes
from srdp.domain.ppr.markup import Element
from srdp.domain.ppr.subject import Subject


class PprNotes:
    """What is wrong in a PPR, noted at its elements.

    Args:
        notes: where findings go.
        subject: what the run works on.
    """

    def __init__(self, notes: Notes, subject: Subject) -> None:
        self._notes = notes
        self.subject = subject

    def require(self, parent: Element, names: Iterable[str]) -> None:
        """Note which elements a parent lacks."""
        for name in names:
            if parent.find(name) is None:
                self.error(parent, parent.tag, f"has no <{name}>", f"add one to the <{parent.tag}>")

    def error(self, element: Element, value: object, problem: str, fix: str) -> None:
        """Note what must be changed at an element; see :class:`srdp.domain.common.lint.Finding`."""
        self._notes.error(element.line, element.column, value, problem, fix)

    def warn(self, element: Element, value: object, problem: str, fix: str) -> None:
        """Note an oddity at an element; likewise."""
        self._notes.warn(element.line, element.column, value, problem, fix)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a family's PPRs have of their own.

    Attributes:
        subject: what people call that which is processed.
        prefix: what the names of the family's own stages begin with.
        relative_path: where the ``RelativePath`` is below the processing request.
        required: as :data:`srdp.domain.ppr.structure.REQUIRED`.
        known: as ``KNOWN`` there.
        leaves: as ``LEAVES`` there.
        data: notes what is wrong with the data that are named.
        stages: notes what is wrong with the stages.
    """

    subject: str
    prefix: str
    relative_path: str
    required: Mapping[str, tuple[str, ...]]
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leaves: Mapping[str, str]
    data: Callable[[PprNotes, Element, Element], None]
    stages: Callable[[PprNotes, Sequence[Element]], None] | None = None
