"""Words that this project does not use, in code, documents and templates: `docs/glossary.md` has what to write."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Banned(NamedTuple):
    """A pattern that is not to be found, what to write, and lines that show what it finds and what it passes."""

    pattern: str
    write: str
    found: str
    passed: str


BANNED = [
    Banned(r"\broads?\b|pipeline_road|ingest_road", "task chain", "the road of a run", "a broad roadmap"),
    Banned(r"\bgiven files?\b", "submitted files", "the given files", "files given by path"),
    Banned(
        r'(?<!")\btold\b(?!")|\btold_|_told\b', "notified (persons), reported (facts)", "who is told", "he stole it"
    ),
    Banned(r"\b(tells?|telling) of\b", "report, list, describe", "it tells of a run", "tell the operators of NGAS"),
    Banned(r"\b(im)?patien(ce|tly)\b", "retry policy, total time, timeout", "its patience", "the patient waits"),
    Banned(r"\bdeeds?\b", "action", "the deed is done", "indeed"),
    Banned(r"\blook(s|ed|ing)? after\b", "reconcile, watch, manage", "looks after runs", "look at it after that"),
    Banned(r"\b(come|comes|came|coming) to nothing\b", "fail", "it came to nothing", "nothing is to come"),
    Banned(r"\b(throw(s|n|ing)?|threw)( \w+)? away\b", "discard", "it throws runs away", "throw an error"),
    Banned(r"\bmend(s|ed|ing)?\b", "fix", "mend the cause", "recommended, amended"),
    Banned(r"\banew\b", "again", "made anew", "a new run"),
    Banned(r"\bspoil(s|t|ed|ing)?\b", "damage", "a spoilt file", "despoil"),
    Banned(r"\bhow-manieth\b", "number", "the how-manieth try", "how many"),
    Banned(r"\bcure(s|d)?\b", "fix, remedy", "the cure", "secure, obscured"),
    Banned(r"\bnobody's\b", "without an owner, left behind", "it is nobody's", "nobody is notified"),
    Banned(r"\b(who|whom)ever\b", "the person who, anyone who, no matter who", "whoever asks", "however"),
    Banned(r"\b[Bb]y whom\b", "who does it", "and by whom", "by them"),
    Banned(r"\bstrays?\b", "unknown entry", "a stray file", "astray"),
    Banned(r"\bfor ever\b", "forever, until", "kept for ever", "forever, for every"),
    Banned(r"\bstretch(es)? of\b", "part of the task chain", "stretches of road", "the image is stretched"),
    Banned(r"\btend_assignments\b", "reconcile_assignments", "tend_assignments", "intend"),
    Banned(r"\bstands? still\b|\bstood still\b", "is stuck, is blocked", "it stands still", "it still stands"),
]

#: Where old words stay: history, SQL that has run, data as others wrote them, and the two lists of the words.
_LEFT_OUT = (
    "CHANGELOG.md",
    "changelog.d/",
    "include/sql/ledger/",
    "plugins/srdp/services/",
    "tests/data/",
    "docs/glossary.md",
    "tests/test_words.py",
    "plugins/srdp/hooks/",
    "requirements",
    ".codespell",
)
_READ = {".py", ".md", ".txt", ".html", ".sql", ".yml", ".yaml", ".toml", ".env", ".j2", ".xml", ".sh", ""}


def _lines() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and not name.startswith(_LEFT_OUT)]
    files = [ROOT / name for name in names if Path(name).suffix in _READ]
    return [
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in files
        if path.is_file() and not path.is_symlink()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
    ]


@pytest.fixture(scope="module", name="lines")
def _fixture_lines() -> list[tuple[str, str]]:
    return _lines()


@pytest.mark.parametrize("banned", BANNED, ids=[banned.found for banned in BANNED])
def test_banned_words_are_not_used(banned, lines):
    pattern = re.compile(banned.pattern)
    found = [f"{place}: {line.strip()[:160]}" for place, line in lines if pattern.search(line)]
    assert not found, f"write: {banned.write}"


@pytest.mark.parametrize("banned", BANNED, ids=[banned.found for banned in BANNED])
def test_patterns_find_the_word_and_pass_the_rest(banned):
    assert re.search(banned.pattern, banned.found)
    assert not re.search(banned.pattern, banned.passed)
