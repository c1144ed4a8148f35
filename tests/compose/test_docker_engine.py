"""The engine of the other tests of this folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.docker_engine import own_engine, reason_to_skip

pytestmark = pytest.mark.team


@pytest.mark.skipif(reason_to_skip({}) is not None, reason=str(reason_to_skip({})))
def test_an_engine_of_ones_own_builds_with_the_network_answers_under_names_and_leaves_nothing(tmp_path: Path) -> None:
    before = _rules_and_bridges()
    with own_engine() as engine:
        (tmp_path / "Dockerfile").write_text(
            f"FROM {engine.base_image('bookworm')}\n"
            "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends busybox\n"
        )
        engine.docker("build", "--tag", "served", tmp_path)
        engine.docker("network", "create", "between")
        engine.docker("run", "--detach", "--name", "web", "--network", "between", "served", "busybox", "httpd", "-f")
        fetch = ("busybox", "wget", "-q", "-O", "-", "http://web/etc/os-release")
        assert "bookworm" in engine.docker("run", "--rm", "--network", "between", "served", *fetch)
        folder = Path(engine.host.removeprefix("unix://")).parent
    assert not folder.exists()
    assert _rules_and_bridges() <= before, "another engine that starts removes rules; none may be left"


def _rules_and_bridges() -> set[str]:
    said = ""
    for command in (["iptables-save"], ["ip", "-brief", "link", "show", "type", "bridge"]):
        said += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line for line in said.splitlines() if "srdp" in line or "10.21" in line}
