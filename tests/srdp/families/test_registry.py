"""Families are complete, or they do not start."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from srdp.domain.common.errors import InvalidInput, SettingsError
from srdp.domain.runs.identifiers import FAMILY_NAME_PATTERN, new_pipeline_run_id, pipeline_run_id
from srdp.families import ALMA, VLA, Family, IncompleteFamily, families, family_of, family_of_dag, family_of_run
from srdp.families.protocol import required_attributes
from srdp.families.registry import forget, load, register

PROJECT = Path(__file__).parents[3]
SQL = PROJECT / "include" / "sql"
THIRD = Path(__file__).parents[2] / "families" / "vla_continuum"
COMPLETE = {name: getattr(type(VLA), name) for name in required_attributes()}
OWN = {
    "name": "other",
    "kind": "other",
    **{f"{each}_dag": f"other_{each}" for each in ("rerun", "ingest", "fail", "cleanup", "withdraw")},
    "retention": (),
}


def family_with(**attributes: object) -> type[Family]:
    return type("Other", (Family,), {**COMPLETE, **OWN, "__module__": __name__, **attributes})


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    """The third family of the tests, known as long as a test runs."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    load([str(THIRD)])
    family = family_of("vla_continuum")
    yield family
    forget(family)
    del sys.modules["vla_continuum"]


@pytest.mark.parametrize("name", required_attributes())
def test_a_family_without_one_attribute_is_refused(name: str) -> None:
    attributes = {each: value for each, value in {**COMPLETE, **OWN}.items() if each != name}
    with pytest.raises(IncompleteFamily) as refused:
        register(type("Other", (Family,), {"__module__": __name__, **attributes}))
    what = required_attributes()[name].rstrip(".")
    assert str(refused.value) == f"The family {__name__}.Other is incomplete. It lacks {name} ({what})."
    assert families() == (VLA, ALMA)


def test_a_module_with_an_incomplete_family_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    code = "from srdp.families import Family, register\nclass Half(Family):\n    name = 'half'\nregister(Half)\n"
    (tmp_path / "half_a_family.py").write_text(code)
    with pytest.raises(IncompleteFamily, match=r"half_a_family\.Half is incomplete\. It lacks kind \(.*; forms \("):
        load([str(tmp_path / "half_a_family")])


def test_a_package_that_is_not_there_names_the_setting() -> None:
    with pytest.raises(SettingsError, match="SRDP_FAMILIES names 'no_such_family'"):
        load(["no_such_family"])


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({"name": "Other"}, "its name 'Other' is not of the form"),
        ({"name": "alma"}, "another family has the name 'alma' too"),
        ({"cleanup_dag": "vla_cleanup"}, "another family has the DAG 'vla_cleanup' too"),
        ({"retention": VLA.retention}, "another family has the kind of thing that is kept 'archived' too"),
        ({"result_locator": "uid://evla/picture/"}, "its result_locator 'uid://evla/picture/' is not of the form"),
        ({"inputs": ALMA.inputs, "forms": lambda _family: ()}, "it has no form for other and other_cleanup"),
    ],
)
def test_a_family_that_contradicts_another_or_itself_is_refused(attributes: dict[str, object], fault: str) -> None:
    with pytest.raises(IncompleteFamily, match=re.escape(fault)):
        register(family_with(**attributes))
    assert families() == (VLA, ALMA)


def test_a_third_family_is_looked_up_as_the_others(third: Family) -> None:
    run_id = new_pipeline_run_id("vlacont")
    found = (family_of("vla_continuum"), family_of_run(run_id), family_of_dag("vlacont_rerun"))
    assert found == (third, third, third)
    assert families() == (VLA, ALMA, third)


@pytest.mark.parametrize(
    "look",
    [
        lambda: family_of("x"),
        lambda: family_of_run(pipeline_run_id("x1-20261122-182453-4f7k")),
        lambda: family_of_dag("watch_observations"),
    ],
)
def test_what_no_family_has_is_reported(look: object) -> None:
    with pytest.raises(InvalidInput, match=r"No family .* has the .*: there are vla_calibration, alma_imaging"):
        look()


def test_the_ledger_takes_the_runs_of_every_family() -> None:
    migrations = sorted((SQL / "ledger" / "migrations").glob("*.sql"))
    (pattern,) = re.findall(r"pipeline_run_id ~ '(\^[^']+)'", "".join(path.read_text() for path in migrations))[-1:]
    assert FAMILY_NAME_PATTERN in pattern
    for family in families():
        assert re.fullmatch(pattern, new_pipeline_run_id(family.name))
        assert re.fullmatch("[a-z][a-z0-9_]{0,63}", family.kind)


def test_no_statement_names_a_family() -> None:
    names = "|".join(name for family in families() for name in (family.kind, family.name, *family.dags))
    statements = [path for path in SQL.rglob("*.sql") if path.parent.name != "migrations"]
    assert statements
    assert [path.name for path in statements if re.search(rf"'(?:{names})", path.read_text())] == []


def test_the_guide_of_the_run_files_serves_every_family() -> None:
    (pattern,) = re.findall(r'location ~ "(\^/[^"]+)"', (PROJECT / "docs" / "operator" / "connect.md").read_text())
    for family in families():
        assert re.match(pattern, f"/{new_pipeline_run_id(family.name)}/")
