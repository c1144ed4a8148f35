"""What asks Airflow's REST API from outside: its login stays with the address that it belongs to."""

from __future__ import annotations

import pytest
from tests.fetching import OneAnswer

from srdp.domain.common.errors import ServiceUnavailable, SettingsError
from srdp.hooks.airflow_rest import AirflowRestHook


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.0 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch):
    def at(server: OneAnswer) -> AirflowRestHook:
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_AIRFLOW", f"http://watch:secret@{server.name}")
        return AirflowRestHook("srdp_airflow")

    return at


def test_the_login_follows_no_redirection(hook):
    with OneAnswer(answer("200 OK", b"{}")) as elsewhere:
        moved = answer("307 Temporary Redirect", b"", f"Location: http://{elsewhere.name}/auth/token")
        with (
            OneAnswer(moved) as server,
            pytest.raises(SettingsError, match=r"a redirection to .*, which is not followed"),
        ):
            hook(server).get("dags")
        assert elsewhere.asked == []


def test_the_login_goes_to_no_proxy_of_the_environment(hook, monkeypatch):
    with OneAnswer(answer("200 OK", b"{}")) as proxy, OneAnswer(answer("403 Forbidden")) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.name}")
        with pytest.raises(SettingsError, match="answered HTTP 403 for auth/token: set a login"):
            hook(server).get("dags")
        assert proxy.asked == []
        assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"\xff", b"9" * 5000])
def test_what_is_no_answer_of_airflows_is_said_in_a_sentence_without_the_password(hook, body):
    with OneAnswer(answer("200 OK", body)) as server, pytest.raises(ServiceUnavailable) as caught:
        hook(server).health()
    assert "Airflow's API server (Airflow connection srdp_airflow)" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_connection_without_an_address_is_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_AIRFLOW", "http://")
    with pytest.raises(SettingsError, match="has no address that can be asked: set host and port"):
        AirflowRestHook("srdp_airflow").health()
