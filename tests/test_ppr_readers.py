"""Linter, model of the real reader, the sandbox's reader and the contract CASA's agree on what a PPR says.

None of them shares code with another. Thousands of mutants of good PPRs are read by all: the three readers make the
same of each, be it a refusal, an end without a trace, or stages with parameters, data sets and sessions; and what the
linter calls good is read as a person means it, by a fourth, kind reader. Mutants are the same in each run; for a longer
search set ``SRDP_PPR_MUTANTS`` to their number.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ppr_mutants import DOCUMENT, HARMFUL, HARMLESS, Change, mutant
from tests.programs import casa_contract_ppr
from tests.srdp.domain.alma_files import ASDMS, SUBJECT, processing_request

from sandbox.pipeline import executor as sandbox_executor
from sandbox.pipeline import ppr as sandbox
from srdp.domain.common.errors import InvalidInput
from srdp.domain.ppr.document import recipe_template, render_vla_processing_request
from srdp.domain.ppr.inputs import PprDialect
from srdp.domain.ppr.lint import lint_processing_request
from srdp.domain.ppr.markup import parse_ppr
from srdp.domain.ppr.reader import RequestRefused, read_ppr
from srdp.domain.ppr.subject import Subject
from srdp.domain.runs.identifiers import execution_block_name, pipeline_run_id
from srdp.families.vla_calibration import vla_subject

MUTANTS = int(os.environ.get("SRDP_PPR_MUTANTS", "1600"))
TEMPLATES = Path(__file__).parents[1] / "include" / "templates"
EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
VLA = render_vla_processing_request(
    recipe_template(TEMPLATES, "vla_calibration"),
    execution_block=EB,
    pipeline_run_id=pipeline_run_id("vla-20261122-182453-4f7k"),
    processing_site="Socorro",
    operator="vlapipe",
).decode()
ALMA = processing_request().decode()
_FIRST, _SECOND = (each.uid for each in ASDMS)


def _stage(name: str) -> str:
    return f"<ProcessingCommand><Command>{name}</Command><ParameterSet/></ProcessingCommand>"


def _intent(keyword: str, value: str) -> str:
    return f"<Intents><Keyword>{keyword}</Keyword><Value>{value}</Value></Intents>"


def _edited(text: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


#: Good PPRs: what the run works on, and the PPR.
GOOD: Mapping[str, tuple[Subject, str]] = {
    "the VLA's": (vla_subject(EB), VLA),
    "the VLA's with all that is passed over": (
        vla_subject(EB),
        _edited(
            VLA,
            ("</ProcessingIntents>", f"{_intent('SPECTRAL_MODE', 'TRUE')}\n</ProcessingIntents>"),
            (_stage("hifv_vlasetjy"), _stage("breakpoint") + _stage("hifv_vlasetjy")),
            (_stage("hifv_plotsummary"), _stage("hifv_exportdata") + _stage("hifv_plotsummary")),
        ),
    ),
    "ALMA's": (SUBJECT, ALMA),
    "ALMA's in its older form, of two sessions": (
        Subject(inputs=SUBJECT.inputs, name=SUBJECT.name),
        _edited(
            ALMA,
            ("<ProjectStructure>", "<ProjectStructure><AlmaStructure>"),
            ("</ProjectStructure>", "</AlmaStructure></ProjectStructure>"),
            (
                _intent("SESSION_1", f"{_FIRST} | {_SECOND}"),
                _intent("SESSION_1", _SECOND) + "\n" + _intent("SESSION_2", _FIRST),
            ),
        ),
    ),
}

fractions = st.integers(0, 9_999).map(lambda number: number / 10_000)


def changes(*mutations: Mapping[str, object]) -> st.SearchStrategy[list[Change]]:
    names = [name for group in mutations for name in group]
    return st.lists(st.builds(Change, st.sampled_from(names), fractions, fractions), min_size=1, max_size=3)


@dataclass(frozen=True)
class Read:
    """What is made of a PPR: stages with parameters, and data sets with sessions."""

    stages: tuple[tuple[Any, tuple[tuple[Any, Any], ...]], ...]
    data: tuple[tuple[Any, str], ...]
    relative_path: Any
    mous: Any


def by_model(content: bytes, *, alma: bool) -> Read | str:
    try:
        reading = read_ppr(parse_ppr(content, "PPR.xml"), alma=alma)
    except InvalidInput:
        return "refused"
    except RequestRefused as refused:
        return "crashed" if refused.exit_code else "refused"
    return Read(
        tuple((stage.name, tuple(stage.parameters.items())) for stage in reading.stages),
        tuple((each.disk_name, each.session) for each in reading.data_sets),
        reading.relative_path,
        reading.mous,
    )


def by_sandbox(content: bytes, path: Path, *, alma: bool) -> Read | str:
    path.write_bytes(content)
    try:
        request = sandbox.read_alma_request(path) if alma else sandbox.read_processing_request(path)
    except sandbox.UndecodableRequestError:
        return "refused"
    except TypeError:
        return "crashed"
    return Read(
        tuple((each.task, tuple(each.parameters.items())) for each in sandbox_executor.stages_to_run(request)),
        tuple((name, request.sessions.get(name, "session_1")) for name in request.sdms),
        request.relative_path,
        request.ous,
    )


def by_contract(path: Path, *, alma: bool) -> Read | str:
    try:
        request = casa_contract_ppr.read(path, alma=alma)
        request.print_all()
    except casa_contract_ppr.NotFoundError:
        return "refused"
    except TypeError:
        return "crashed"
    stages = zip(request.stages, (tuple(each.items()) for each in request.parameters), strict=True)
    bare = re.compile(r"((_targets?)?\.ms)+$")
    data = tuple((name, request.sessions.get(bare.sub("", name), "session_1")) for name in request.identifiers)
    return Read(tuple(stages), data, request.relative_path, request.mous)


def by_a_person(content: bytes, *, alma: bool) -> Read:
    """Read as a person does: sees no comment, no spelling of XML and no blanks around a text, and looks everywhere."""
    root = ET.fromstring(content)  # noqa: S314  what this test made
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    intents = dict(_said_pairs(root, "Intents"))
    spectral = not alma and intents.get("SPECTRAL_MODE", "").lower() == "true"
    passed_over = {"breakpoint", "hifv_hanning"} if spectral else {"breakpoint"}
    commands = [
        (_said(each.find("Command")), _said_pairs(each, "Parameter")) for each in root.iter("ProcessingCommand")
    ]
    numbers = takewhile(lambda number: f"SESSION_{number}" in intents, count(1))
    session = {uid: f"session_{number}" for number in numbers for uid in intents[f"SESSION_{number}"].split(" | ")}
    asdms = {
        _said(each.find("AsdmDiskName")): _said(each.find(".//ExecBlockId")) for each in root.iter("AsdmIdentifier")
    }
    names = [_said(each) for each in root.iter("AsdmDiskName" if alma else "SdmIdentifier")]
    status = root.find(".//OUSStatusRef")
    return Read(
        tuple(command for command in commands if command[0] not in passed_over),
        tuple((name, session.get(asdms.get(name, ""), "session_1")) for name in names),
        _said(root.find(".//RelativePath")),
        status.get("entityId", "") if alma and status is not None else "",
    )


def _said(element: ET.Element | None) -> str:
    return "" if element is None else "".join(element.itertext()).strip()


def _said_pairs(parent: ET.Element, tag: str) -> tuple[tuple[str, str], ...]:
    return tuple((_said(each.find("Keyword")), _said(each.find("Value"))) for each in parent.iter(tag))


def as_said(read: Read, meant: Read) -> Read:
    """What was read, each value as the person wrote it where that is the same to a person."""
    if [len(one[1]) for one in read.stages] != [len(one[1]) for one in meant.stages]:
        return read
    stages = tuple(
        (name, tuple((key, _as_said(value, text)) for (key, value), (_, text) in zip(values, said, strict=True)))
        for (name, values), (_, said) in zip(read.stages, meant.stages, strict=True)
    )
    return replace(read, stages=stages)


def _as_said(value: object, text: str) -> object:
    if isinstance(value, bool):
        same = text.lower() == str(value).lower()
    elif isinstance(value, int):
        same = text.removeprefix("+") == str(value)
    else:
        digits = re.fullmatch(r"[-+]?[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?", text)
        same = isinstance(value, float) and digits is not None and float(text) == value < math.inf
    return text if same else value


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ppr") / "PPR.xml"


def search(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("name", GOOD)
@search(MUTANTS // len(GOOD))
@given(made=changes(HARMLESS, HARMFUL, HARMFUL, DOCUMENT))
def test_what_passes_is_read_by_all_as_it_is_meant(path: Path, name: str, made: list[Change]) -> None:
    subject, text = GOOD[name]
    alma = subject.inputs.dialect is PprDialect.ALMA
    content = mutant(text, made)
    report = lint_processing_request(content, subject=subject)
    read = by_model(content, alma=alma)
    if b"<!DOCTYPE" not in content:  # the real reader takes it, and no reader of ours does
        # By what is shown of them: 1, 1.0 and True are three things, and one that is not a number equals itself.
        assert repr(by_sandbox(content, path, alma=alma)) == repr(read)
        assert repr(by_contract(path, alma=alma)) == repr(read)
    if not report.findings:
        assert isinstance(read, Read)
        meant = by_a_person(content, alma=alma)
        assert repr(as_said(read, meant)) == repr(meant)


@pytest.mark.parametrize("name", GOOD)
@search(MUTANTS // 8 // len(GOOD))
@given(made=changes(HARMLESS))
def test_what_nobody_sees_is_not_refused(name: str, made: list[Change]) -> None:
    subject, text = GOOD[name]
    alma = subject.inputs.dialect is PprDialect.ALMA
    content = mutant(text, made)
    assert lint_processing_request(content, subject=subject).findings == ()
    assert by_model(content, alma=alma) == by_model(text.encode(), alma=alma)
