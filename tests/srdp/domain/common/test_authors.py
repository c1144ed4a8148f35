from __future__ import annotations

import pytest

from srdp.domain.common.authors import on_behalf


@pytest.mark.parametrize(
    ("login", "named", "author"),
    [
        ("jdoe", "", "jdoe"),
        ("jdoe", "JDoe ", "jdoe"),
        ("jdoe", "jdoe@example.org", "jdoe"),
        ("jdoe@example.org", "jdoe", "jdoe@example.org"),
        ("jdoe@example.org", "jdoe@elsewhere.example", "jdoe@example.org for jdoe@elsewhere.example"),
        ("jdoe", "Jane Doe", "jdoe for Jane Doe"),
        ("jdoe", "given by ann for Jane Doe", "jdoe for given by ann for Jane Doe"),
    ],
)
def test_who_is_named_is_notified_beside_who_was_authenticated(login: str, named: str, author: str) -> None:
    assert on_behalf(login, named) == author
