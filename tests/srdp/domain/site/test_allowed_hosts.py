"""Which hosts may have a login: names, and the addresses that they lead to."""

from __future__ import annotations

import pytest

from srdp.domain.common.errors import InvalidInput, SettingsError
from srdp.domain.site.allowed_hosts import AllowedHosts, host_pattern

WHO = "the locator report of X"


@pytest.mark.parametrize(
    ("pattern", "server"),
    [
        ("ngas.example.org", "ngas.example.org:7777"),
        ("ngas.example.org", "NGAS.Example.ORG:1"),
        ("NGAS*.AOC.nrao.edu", "ngas01.aoc.nrao.edu:7777"),
        ("ngas*.aoc.nrao.edu", "ngas.aoc.nrao.edu:7777"),
        ("*.example.org", "a-b_c.example.org:7777"),
        ("ngas.example.org:7777", "ngas.example.org:7777"),
        ("192.0.2.1", "192.0.2.1:7777"),
        ("127.0.0.1:7777", "127.0.0.1:7777"),
        ("localhost", "localhost:7777"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example:7777"),
    ],
)
def test_a_host_that_is_listed_may_have_the_login(pattern: str, server: str) -> None:
    AllowedHosts(["other.example.org", pattern]).check_server(server, WHO)


@pytest.mark.parametrize(
    ("pattern", "server"),
    [
        ("ngas.example.org", "ngas.example.org.evil.example:7777"),
        ("ngas.example.org", "evil-ngas.example.org:7777"),
        ("ngas.example.org", "ngasXexample.org:7777"),
        ("*.example.org", "example.org:7777"),
        ("*.example.org", "a.b.example.org:7777"),
        ("*.example.org", "evil.example:7777"),
        ("ngas.example.org:7777", "ngas.example.org:22"),
        ("192.0.2.1", "192.0.2.10:7777"),
        ("127.0.0.1", "127.0.0.2:7777"),
        ("127.0.0.1", "127.1:7777"),
        ("127.0.0.1", "2130706433:7777"),
        ("localhost", "127.0.0.1:7777"),
        ("ngas.example.org", "ngas.example.org.:7777"),
    ],
)
def test_unlisted_host_is_named_with_source_and_setting(pattern: str, server: str) -> None:
    hosts = AllowedHosts([pattern], setting="allowed_hosts in the extra of the Airflow connection srdp_ngas")
    with pytest.raises(SettingsError, match=r"the locator report of X names.*allowed_hosts.*srdp_ngas") as caught:
        hosts.check_server(server, WHO)
    assert server in str(caught.value)


def test_without_a_list_nobody_may_have_it() -> None:
    with pytest.raises(SettingsError):
        AllowedHosts([]).check_server("ngas.example.org:7777", WHO)


NO_PATTERNS = [
    "*", "ngas.example.*", "*:7777", "a/b", "http://a", "user@a", "a.", ".a", "a..b", "a:0", "a:99999", "é.org",
    "[::1]:7777",
]  # fmt: skip


@pytest.mark.parametrize("value", ["", "a b", "a\n", None, 7, *NO_PATTERNS])
def test_what_is_no_pattern_of_hosts_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="is not a host"):
        host_pattern(value)


LOCAL = [
    "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1%eth0", "::ffff:127.0.0.1",  # noqa: S104
    "224.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", LOCAL)
def test_a_listed_name_may_not_lead_to_this_machine_or_its_link(address: str) -> None:
    hosts = AllowedHosts(["*.example.org", "192.0.2.1"])
    with pytest.raises(SettingsError, match=r"ngas\.example\.org leads to .*nothing was sent.*list"):
        hosts.check_address("ngas.example.org", address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"])
def test_it_may_lead_to_any_other_address(address: str) -> None:
    AllowedHosts(["*.example.org"]).check_address("ngas.example.org", address)


@pytest.mark.parametrize(
    ("listed", "address"),
    [
        ("127.0.1.1", "127.0.1.1"),
        ("127.0.0.1:7777", "::ffff:127.0.0.1"),
        ("::1", "::1"),
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("169.254.1.2", "169.254.1.2"),
    ],
)
def test_or_to_an_address_that_is_listed_itself(listed: str, address: str) -> None:
    AllowedHosts(["ngas.example.org", listed]).check_address("ngas.example.org", address)
