"""The comparison of measurement sets, on fifty rows of real data."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.sandbox.pipeline.running import CASA_PYTHON, REPOSITORY, ask_casa

from sandbox.restoring import RestoreFailed, compare_visibilities

pytestmark = pytest.mark.casa

_FLAG = 'edit("FLAG", lambda flags: True)'
_NOT_A_NUMBER = 'edit("CORRECTED_DATA", lambda value: complex("nan"))'
# Copies of the measurement set, and what is done to them; row 7 is nothing special.
_CHANGES = {
    "as it was": "",
    "same": "",
    "last bit": 'edit("CORRECTED_DATA", lambda v: complex(np.nextafter(np.float32(v.real), np.float32(9e9)), v.imag))',
    "flagged": _FLAG,
    "flagged and changed": _FLAG + '; edit("CORRECTED_DATA", lambda value: 2 * value + 1)',
    "weighted": 'edit("WEIGHT", lambda weight: 2 * weight + 1)',
    "not a number": _NOT_A_NUMBER,
    "not a number either": _NOT_A_NUMBER,
    "row less": "",
    "other antenna": 'table.putcell("ANTENNA2", 7, 26)',
    "not calibrated": 'table.removecols(["CORRECTED_DATA"])',
    "empty": "",
    "empty, too": "",
}
_ROWS = {"row less": 49, "empty": 0, "empty, too": 0}
_MAKE = """
import casadata, casatools, numpy as np
casatasks.importuvfits(fitsfile=os.path.join(casadata.datapath, "demo", "3C273XC1.fits"), vis="whole.ms")
casatasks.clearcal(vis="whole.ms")
whole, table = casatools.table(), casatools.table()

def edit(column, change):
    values = table.getcell(column, 7)
    first = (0,) * values.ndim
    values[first] = change(values[first])
    table.putcell(column, 7, values)

for name, change in changes.items():
    whole.open("whole.ms")
    some = whole.query(f"rownumber() <= {rows.get(name, 50)}")
    some.copy(name, deep=True, valuecopy=True).close()
    some.close()
    whole.close()
    table.open(name, nomodify=False)
    exec(change)
    table.close()
print(json.dumps([name for name in changes if not os.path.isdir(name)]))
"""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sets")
    assert ask_casa(directory, f"changes, rows = {_CHANGES!r}, {_ROWS!r}\n{_MAKE}") == []
    return directory


@pytest.mark.parametrize(
    ("one", "other"), [("as it was", "same"), ("not a number", "not a number either")], ids=lambda name: name
)
def test_same_visibilities_are_the_same(sets: Path, one: str, other: str):
    assert compare_visibilities(sets / one, sets / other) == []


@pytest.mark.parametrize(
    ("one", "other", "columns", "words"),
    [
        ("as it was", "last bit", ["CORRECTED_DATA"], " differs in 1 of "),
        ("flagged", "flagged and changed", ["CORRECTED_DATA"], "by up to"),
        ("as it was", "flagged", ["FLAG"], "first in row 7 (scan "),
        ("as it was", "weighted", ["WEIGHT"], "first in row 7 (scan "),
        ("as it was", "not a number", ["CORRECTED_DATA"], "first in row 7 (scan "),
        ("as it was", "row less", ["One"], "has 50 rows, the other 49."),
        ("as it was", "other antenna", ["ANTENNA2", "Their"], "first in row 7 (scan "),
        ("as it was", "not calibrated", ["There"], "no CORRECTED_DATA in the other."),
        ("not calibrated", "not calibrated", ["There"], "no CORRECTED_DATA in the one and the other."),
        ("empty", "empty, too", ["Neither"], "nothing to compare"),
    ],
    ids=lambda name: name if isinstance(name, str) else "",
)
def test_each_difference_is_a_sentence(sets: Path, one: str, other: str, columns: list[str], words: str):
    found = compare_visibilities(sets / one, sets / other)
    assert [sentence.split(" ", 1)[0] for sentence in found] == columns, found
    assert words in found[0]


def test_what_is_no_measurement_set_cannot_be_compared(sets: Path, tmp_path: Path):
    for wrong in (tmp_path, tmp_path / "missing.ms"):
        with pytest.raises(RestoreFailed, match="could not be compared"):
            compare_visibilities(sets / "same", wrong)


def test_command_says_its_usage(tmp_path: Path):
    script = REPOSITORY / "include" / "casa" / "compare_visibilities.py"
    ended = subprocess.run(
        [CASA_PYTHON, script], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "usage" in ended.stderr
