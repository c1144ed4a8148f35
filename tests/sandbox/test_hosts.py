from __future__ import annotations

import pytest

from sandbox.hosts import refusal


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8090", "localhost:1", "LOCALHOST", "[::1]:80", "127.0.0.2", None]
)
def test_who_asks_for_this_machine_is_answered(host: str | None) -> None:
    assert refusal(host) == ""


@pytest.mark.parametrize(
    "host", ["rebound.example", "127.0.0.1.example", "localhost.example:80", "8.8.8.8", "", "[", "x@rebound.example"]
)
def test_who_asks_for_another_host_is_told_why_not(host: str) -> None:
    assert refusal(host) == f"This server answers for 127.0.0.1 and localhost only, and was asked for {host!r}."
