"""The linter of flag commands and of selections against CASA itself, which answers all questions in one process.

What CASA takes with the meaning that it seems to have is taken; what it takes with another, and what it refuses, is
refused. The meaning of what a person writes is known where the text is generated from it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.srdp.domain.flag_lines import BAD, GOOD, OBSERVED, ODD
from tests.srdp.domain.selection_texts import Question, questions

from srdp.domain.analyst_files.flag_commands import lint_flag_commands
from srdp.domain.analyst_files.selections.fields import field_selection

REPOSITORY = Path(__file__).resolve().parents[4]
CASA_PYTHON = Path(os.environ.get("SRDP_CASA_PYTHON", REPOSITORY / ".venv-casa" / "bin" / "python"))
PROGRAM = REPOSITORY / "tests" / "programs" / "flag_commands_in_casa.py"
COLLECTED = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "flag_lines_with_casa_answers.jsonl").read_text().splitlines()
]
#: How many selections are tried; more by hand.
BUDGET = int(os.environ.get("SRDP_SELECTIONS_TRIED", "1000"))
#: Names as archives have them, with others that a careless selection would take for them.
NAMES = (
    "W3(OH)", "W3", "TW Hya", "TW_Hya", "helm=30", "helm", "30", "1", "016", "1e5", "a,b", "a", "b", "x;y", "x", "p&q",
    "O'Neil", "SgrA*", "5~6", "<5", "~c", "G345.49+1.47", "G345x49+1.47", "#7", "NGC 253 (N)", "tw hya", "-1", "M_82",
)  # fmt: skip
# Each of these ends CASA's process: "ArrayBase::Array(const IPosition&) - Negative shape".
KILLS_CASA = ("antenna='3~1'", "field='3~1'")

pytestmark = pytest.mark.casa


def in_casa(folder: Path, asked: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (folder / "questions.json").write_text(json.dumps(asked))
    return subprocess.run(
        [CASA_PYTHON, "-W", "ignore::SyntaxWarning", PROGRAM, "questions.json", "answers.json"],
        cwd=folder,
        env={
            **os.environ,
            "CASASITECONFIG": str(REPOSITORY / "include" / "casa" / "casasiteconfig.py"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def tried() -> list[Question]:
    asked = questions(random.Random(20261129), BUDGET)  # noqa: S311
    # Of what is refused as it must be, nothing is asked: `!ea99&&&` and others end CASA's process.
    return [question for question in asked if question.is_there or is_taken(question.line)]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, tried: list[Question]) -> dict[str, Any]:
    lines = [*GOOD, *(text for text, _ in ODD), *(each["line"] for each in COLLECTED), *(bad.text for bad in BAD)]
    asked = {
        "lines": [line for line in dict.fromkeys(lines) if line not in KILLS_CASA and "\0" not in line],
        "selections": [[question.key, question.text] for question in tried],
        "names": list(NAMES),
        "by_name": [field_selection(name) for name in NAMES],
    }
    folder = tmp_path_factory.mktemp("casa")
    done = in_casa(folder, asked)
    assert done.returncode == 0, done.stderr[-2000:]
    answered = json.loads((folder / "answers.json").read_text())
    return {**answered, "lines": dict(zip(asked["lines"], answered["lines"], strict=True))}


def is_done(lines: dict[str, Any], line: str) -> bool:
    """Return whether CASA flags something; what it was not asked it would not do."""
    return line in lines and lines[line]["wrong"] is None and lines[line]["flagged"] > 0


def is_taken(line: str) -> bool:
    return not lint_flag_commands(f"{line}\n".encode(), observed=OBSERVED).findings


def test_casa_agrees_with_the_linter(answers: dict[str, Any]) -> None:
    lines = answers["lines"]
    wrong = {line: answer["wrong"] for line, answer in lines.items()}
    assert not {line: wrong[line] for line in (*GOOD, *(text for text, _ in ODD)) if wrong[line]}
    # Beside other commands, one that selects nothing is passed over.
    assert not [bad.text for bad in BAD if bad.casa and is_done(lines, bad.text)]
    # What is refused although CASA carries it out, or something else, is marked as such; the linter says why.
    assert not [bad.text for bad in BAD if not bad.casa and wrong.get(bad.text)]


def test_what_others_wrote_is_judged_as_casa_judges_it(answers: dict[str, Any]) -> None:
    # It adds the hours of one integration to a date, and takes no antenna at all for every antenna.
    other_meaning = {
        each["line"] for each in COLLECTED if "'2013/08/10'" in each["line"] or "antenna=''" in each["line"]
    }
    judged = {each["line"]: each["casa"] == "takes it" for each in COLLECTED}
    assert {line: is_taken(line) for line in judged} == {
        line: taken and line not in other_meaning for line, taken in judged.items()
    }
    # And this CASA, on this set, says what the other said on its own.
    assert not [line for line, taken in judged.items() if taken and answers["lines"][line]["wrong"]]
    assert not [line for line, taken in judged.items() if not taken and is_done(answers["lines"], line)]


def test_a_selection_that_passes_selects_what_it_says(answers: dict[str, Any], tried: list[Question]) -> None:
    wrong = []
    for question, answer in zip(tried, answers["selections"], strict=True):
        taken = is_taken(question.line)
        as_meant = question.is_meant(answer)
        if taken and not as_meant:
            wrong.append(("taken, but it does something else", question.text, answer))
        if not taken and as_meant and question.is_there:
            wrong.append(("refused without need", question.text, answer))
    assert not wrong


def test_a_field_is_selected_by_its_name_and_no_other_with_it(answers: dict[str, Any]) -> None:
    assert answers["by_name"] == [[name] for name in NAMES]


@pytest.mark.parametrize("line", KILLS_CASA)
def test_a_reversed_range_kills_casa_and_is_refused(tmp_path: Path, line: str) -> None:
    assert not is_taken(line)
    assert in_casa(tmp_path, {"lines": [line]}).returncode < 0
