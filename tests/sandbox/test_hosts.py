from __future__ import annotations

import argparse

import pytest

from sandbox.hosts import ON_LOOPBACK, Listening, add_listening_options, listening

NGAS = Listening("127.0.0.2", ("ngas", "observatory.example"))


def parsed(*arguments: str) -> Listening:
    parser = argparse.ArgumentParser()
    add_listening_options(parser)
    return listening(parser.parse_args(arguments))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8090", "localhost:1", "LOCALHOST", "[::1]:80", "127.0.0.2", None]
)
def test_who_asks_for_this_machine_is_answered(host: str | None) -> None:
    assert ON_LOOPBACK.refusal(host) == NGAS.refusal(host) == ""


@pytest.mark.parametrize("host", ["ngas", "ngas:7777", "NGAS:7777", "observatory.example:1"])
def test_only_known_host_names_are_answered(host: str) -> None:
    assert NGAS.refusal(host) == ""
    assert ON_LOOPBACK.refusal(host)


@pytest.mark.parametrize(
    "host",
    [
        *("rebound.example", "127.0.0.1.example", "localhost.example:80", "8.8.8.8", "", "[", "x@rebound.example"),
        *("ngas.example", "xngas", "ngas@rebound.example", "0.0.0.0:7777", "172.18.0.4:7777"),
    ],
)
def test_who_asks_for_another_host_is_notified_why_not(host: str) -> None:
    assert ON_LOOPBACK.refusal(host) == (
        f"This server answers for 127.0.0.1 and localhost only, and was asked for {host!r}."
    )
    assert NGAS.refusal(host) == (
        f"This server answers for 127.0.0.1, localhost, ngas and observatory.example only, and was asked for {host!r}."
    )


def test_a_server_that_is_reported_nothing_listens_on_loopback() -> None:
    assert parsed() == ON_LOOPBACK
    assert parsed("--listen", "127.0.0.2", "--name", "NGAS", "--name", "observatory.example") == NGAS


@pytest.mark.parametrize(
    "arguments", [("--listen", "everywhere"), ("--listen", "127.1"), ("--name", "a/b"), ("--name", "")]
)
def test_what_is_no_address_and_no_name_is_refused(arguments: tuple[str, str], capsys) -> None:
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert f"{arguments[1]!a} is not" in capsys.readouterr().err
