"""Find out where the stages of a PPR and the files that a run is given do not go together, and what would fix it.

Which stage reads which file, :class:`~srdp.domain.ppr.inputs.PipelineInputs` says. A fix that follows from that alone
is an edit, so that it can be done for a person; see :mod:`srdp.domain.ppr.adaptation`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from srdp.domain.analyst_files.names import AnalystFile, Reader
from srdp.domain.ppr.inputs import PipelineInputs

_EDIT_LIST, _IMAGING_MODE = "hif_editimlist", "imaging_mode"
#: What the pipeline's reader takes for False.
_FALSE: Final = frozenset({"False", "false", "FALSE"})


@dataclass(frozen=True)
class Stage:
    """A stage of a PPR.

    Attributes:
        name: its name.
        parameters: its parameters with their values as they are written; of a repeated keyword the last.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AddStage:
    """Add a stage behind another, which is given by its place."""

    behind: int
    stage: Stage


@dataclass(frozen=True, kw_only=True)
class RemoveStage:
    """Take the stage at a place away."""

    place: int


@dataclass(frozen=True, kw_only=True)
class AddParameter:
    """Give the stage at a place a parameter that it does not have."""

    place: int
    keyword: str
    value: str


Edit = AddStage | RemoveStage | AddParameter


@dataclass(frozen=True, kw_only=True)
class StageProblem:
    """Something that is wrong with the stages, for themselves or with the files that are given.

    Attributes:
        place: the stage at which it is reported, counted from 0.
        value: what stands there.
        problem: what is wrong, as the sentence continues after the value.
        fix: what to do; see :class:`srdp.domain.common.lint.Finding`.
        edits: what fixes it, if that can be done without a person; by the places that the stages have now.
    """

    place: int
    value: str
    problem: str
    fix: str
    edits: tuple[Edit, ...] = ()


def stage_problems(inputs: PipelineInputs, stages: Sequence[Stage], given: Collection[str]) -> Iterator[StageProblem]:
    """Yield what is wrong with the stages of a PPR, in the order of the files and not of the stages.

    Args:
        inputs: which stage reads which file.
        stages: the stages; none: nothing is wrong with them.
        given: the files that are given with the PPR, by the names that people use.
    """
    if not stages:
        return
    if inputs.imaging_mode is not None:
        yield from _imaging_modes(stages, inputs.imaging_mode)
    for name, file in inputs.files.items():
        late = [*_read_in_vain(file, stages)]
        yield from late
        if name in given and file.readers:
            # One that comes too late is reported already, and counts as present.
            yield from () if late else _not_read(name, file, stages)
            yield from _replaced(name, file, stages)


def as_xml(stage: Stage) -> str:
    """Return a stage as the one line that a person adds to a PPR."""
    parameters = "".join(parameter_as_xml(keyword, value) for keyword, value in stage.parameters.items())
    parameter_set = f"<ParameterSet>{parameters}</ParameterSet>" if parameters else "<ParameterSet/>"
    return f"<ProcessingCommand><Command>{escape(stage.name)}</Command>{parameter_set}</ProcessingCommand>"


def parameter_as_xml(keyword: str, value: str) -> str:
    """Return a parameter as it is in a PPR."""
    return f"<Parameter><Keyword>{escape(keyword)}</Keyword><Value>{escape(value)}</Value></Parameter>"


def _imaging_modes(stages: Sequence[Stage], wanted: str) -> Iterator[StageProblem]:
    for place, stage in enumerate(stages):
        mode = stage.parameters.get(_IMAGING_MODE)
        if stage.name == _EDIT_LIST and mode != wanted:
            finding = f"has {_IMAGING_MODE}={mode}" if mode else f"has no {_IMAGING_MODE}"
            yield StageProblem(
                place=place,
                value=stage.name,
                problem=f"{finding}, so it would not list the image with ALMA's heuristics, but stop or make another",
                fix=f"give it {parameter_as_xml(_IMAGING_MODE, wanted)}",
                edits=() if mode is not None else (AddParameter(place=place, keyword=_IMAGING_MODE, value=wanted),),
            )


def _read_in_vain(file: AnalystFile, stages: Sequence[Stage]) -> Iterator[StageProblem]:
    """Yield the stages that would read a file where it has no effect any more, whether it is given or not."""
    names = [stage.name for stage in stages]
    for place, stage in enumerate(stages):
        # What was done before the data were split off last was done with others: images of calibrators, for example.
        since = _last(file.addition.behind, names[:place]) if file.addition else 0
        before = next((name for name in file.in_vain_behind if name in names[since:place]), None)
        if before is None or not any(stage.name == reader.stage for reader in file.readers):
            continue
        behind = file.addition.behind if file.addition else before
        edits: tuple[Edit, ...] = ()
        if behind in names[:place]:
            edits = (RemoveStage(place=place), AddStage(behind=names.index(behind), stage=stage))
        yield StageProblem(
            place=place,
            value=stage.name,
            problem=f"stands behind {before}, and {file.in_vain_behind[before]}",
            fix=f"move it to the line behind {behind}",
            edits=edits,
        )


def _last(name: str, names: Sequence[str]) -> int:
    return max((place for place, each in enumerate(names) if each == name), default=0)


def _not_read(name: str, file: AnalystFile, stages: Sequence[Stage]) -> Iterator[StageProblem]:
    """Yield why no stage reads a file."""
    kept = []
    for place, stage in enumerate(stages):
        for reader in (reader for reader in file.readers if reader.stage == stage.name):
            why = _kept_from(name, file, reader, stage, place)
            if why is None:
                return
            kept.append(why)
    real = [problem for problem in kept if problem.problem]
    yield real[0] if real else _no_stage(name, file, stages)


def _kept_from(name: str, file: AnalystFile, reader: Reader, stage: Stage, place: int) -> StageProblem | None:
    """Return what keeps a stage from reading a file, without a problem if it never was to; None if nothing does."""

    def kept(problem: str, fix: str, *edits: Edit) -> StageProblem:
        return StageProblem(place=place, value=stage.name, problem=problem, fix=fix, edits=edits)

    wrong = [keyword for keyword, value in reader.parameters.items() if stage.parameters.get(keyword) != value]
    if wrong:
        keyword, value = wrong[0], reader.parameters[wrong[0]]
        if file.addition is None or file.addition.stage != stage.name:
            return kept("", "")
        missing = keyword not in stage.parameters
        edits = [AddParameter(place=place, keyword=keyword, value=value)] if missing else []
        problem = f"does not have {keyword}={value}, without which it does not read the {name}"
        return kept(problem, f"give it {parameter_as_xml(keyword, value)}, or leave the {name} out", *edits)
    fix = f"remove the parameter, or leave the {name} out"
    if reader.switch and stage.parameters.get(reader.switch) in _FALSE:
        return kept(f"has {reader.switch}={stage.parameters[reader.switch]}, so it does not read the {name}", fix)
    other = stage.parameters.get(reader.names or "")
    if other and not any(other.endswith(staged.removeprefix("{data}")) for staged in file.staged):
        return kept(f"has {reader.names}={other}, so it reads another file than the {name}", fix)
    return None


def _no_stage(name: str, file: AnalystFile, stages: Sequence[Stage]) -> StageProblem:
    addition, names = file.addition, [stage.name for stage in stages]
    if addition is None:
        readers = dict.fromkeys(_as_a_person_writes(reader) for reader in file.readers)
        return StageProblem(
            place=0,
            value="ProcessingProcedure",
            problem=f"has no stage that reads the {name}: the pipeline would silently ignore it",
            fix=f"add {' or '.join(readers)} where the standard recipe has it, or leave the {name} out",
        )
    added = Stage(addition.stage, addition.parameters)
    place = names.index(addition.behind) if addition.behind in names else None
    where = "" if place is None else " behind its </ProcessingCommand>"
    return StageProblem(
        place=place or 0,
        value=names[place or 0],
        problem=f"is followed by no {addition.stage}, without which the pipeline ignores the {name}",
        fix=f"add the line {as_xml(added)}{where}, or leave the {name} out",
        edits=() if place is None else (AddStage(behind=place, stage=added),),
    )


def _as_a_person_writes(reader: Reader) -> str:
    parameters = ", ".join(f"{keyword}={value}" for keyword, value in reader.parameters.items())
    return f"{reader.stage} with {parameters}" if parameters else reader.stage


def _replaced(name: str, file: AnalystFile, stages: Sequence[Stage]) -> Iterator[StageProblem]:
    for place, stage in enumerate(stages):
        if stage.name == file.written_by:
            yield StageProblem(
                place=place,
                value=stage.name,
                problem=f"looks for the continuum itself, and may replace what is in the {name}",
                fix=f"remove this whole <ProcessingCommand>, or leave the {name} out",
                edits=(RemoveStage(place=place),),
            )
