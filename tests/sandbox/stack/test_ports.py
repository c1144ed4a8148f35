from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sandbox.ports import LOOPBACK
from sandbox.stack.ports import Ports
from srdp.domain.common.errors import SettingsError


def test_each_port_can_be_set_by_its_variable() -> None:
    ports = Ports.from_environment({"SRDP_PORT_AIRFLOW": "18080", "SRDP_PORT_NGAS": " 17777 ", "SRDP_PORT_MAIL": ""})
    assert (ports.airflow, ports.ngas, ports.mail) == (18080, 17777, Ports().mail)


@pytest.mark.parametrize("text", ["0", "80", "65536", "8080.5", "-1", "http", "8080; reboot", "٨٠٨٠", "9" * 5000])
def test_what_is_no_port_is_refused_with_the_variables_name(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^SRDP_PORT_AIRFLOW is .*: set it to a port between 1024 and 65535\.$"
    ) as e:
        Ports.from_environment({"SRDP_PORT_AIRFLOW": text})
    assert len(str(e.value)) < 200


def test_one_port_for_two_servers_is_refused() -> None:
    with pytest.raises(SettingsError, match="Port 7777 is given to mail and to ngas: set SRDP_PORT_NGAS to another"):
        Ports.from_environment({"SRDP_PORT_MAIL": "7777"})


def test_taken_port_names_owner_and_variable() -> None:
    ports = Ports.free()
    ports.check_free()
    with socket.socket() as taker:
        taker.bind((LOOPBACK, ports.locator))
        taker.listen()
        with pytest.raises(SettingsError) as raised:
            ports.check_free()
    sentence = str(raised.value)
    assert sentence.startswith("Nothing was started, because these ports of 127.0.0.1 are taken: ")
    assert f"{ports.locator} (by " in sentence
    assert f"process {os.getpid()}; needed for locator, set SRDP_PORT_LOCATOR to another)" in sentence
    assert sentence.count("set SRDP_PORT_") == 1


def test_ports_are_found_again_by_a_later_command(tmp_path: Path) -> None:
    assert Ports.recorded(tmp_path) is None
    ports = Ports.free()
    ports.record(tmp_path)
    assert Ports.recorded(tmp_path) == ports
    (tmp_path / "ports.json").write_text('{"airflow": ')
    assert Ports.recorded(tmp_path) is None
