"""The restore script's reading of what it is given; its work is tested with CASA."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.pipeline.casa_calls import as_python
from sandbox.pipeline.restore import _arguments, restore


def test_apply_list_is_read_as_it_was_written():
    call = {"vis": "a.ms", "gaintable": ["b.tbl", "c's.tbl"], "calwt": False}
    assert _arguments(as_python("applycal", call)) == call


def test_apply_list_is_not_executed():
    with pytest.raises(ValueError, match="malformed"):
        _arguments("applycal(vis=__import__('os').getcwd())")
    with pytest.raises(TypeError):
        _arguments("1")


@pytest.fixture
def fake_casatasks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace())


def test_missing_manifest_is_said(fake_casatasks: None, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="there are 0"):
        restore(tmp_path, tmp_path)


def test_product_that_was_not_made_is_said(fake_casatasks: None, tmp_path: Path):
    (tmp_path / "unknown.hifv.pipeline_manifest.xml").write_text(
        '<piperesults><caltables name="Undefined"/></piperesults>'
    )
    with pytest.raises(FileNotFoundError, match="no caltables"):
        restore(tmp_path, tmp_path)
