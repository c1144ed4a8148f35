"""What is packed, unpacked in pieces: whole, as it was packed, and never more than a limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srdp.domain.files.shared_files import PRODUCT, open_shared
from srdp.domain.files.unpacking import Damaged, is_packed, unpacked

PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]


def content_of(place: Path) -> bytes:
    with open_shared(place.parent, place, PRODUCT) as file:
        assert is_packed(file)
        return b"".join(unpacked(file))


@pytest.mark.parametrize("pack", PACKERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(parts=st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 300_000)), min_size=1, max_size=3))
def test_each_member_of_a_file_is_unpacked(tmp_path: Path, pack: Callable, parts: list[tuple[bytes, int]]) -> None:
    place, contents = tmp_path / "packed", [pattern * times for pattern, times in parts]
    place.write_bytes(b"".join(map(pack, contents)))
    assert content_of(place) == b"".join(contents)


def test_what_is_not_packed_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"BZ, a name at the beginning of a tar")
    with open_shared(tmp_path, tmp_path / "plain", PRODUCT) as file:
        assert not is_packed(file)
        assert b"".join(unpacked(file)) == b"BZ, a name at the beginning of a tar"


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2] + b"\0\0\0\0" + content[len(content) // 2 + 4 :],
        lambda content: content + b"something else",
    ],
)
def test_what_is_damaged_is_one_sentence(tmp_path: Path, pack: Callable, harm: Callable) -> None:
    (tmp_path / "packed").write_bytes(harm(pack(os.urandom(100_000))))
    with pytest.raises(Damaged, match="is damaged or was not written to its end"):
        content_of(tmp_path / "packed")


def test_some_zeros_behind_the_end_are_passed_over(tmp_path: Path) -> None:
    place = tmp_path / "packed"
    place.write_bytes(gzip.compress(b"content") + bytes(5000))
    assert content_of(place) == b"content"
    os.truncate(place, 40 << 30)
    with pytest.raises(Damaged, match="many zeros"):
        content_of(place)


@pytest.mark.parametrize("pack", PACKERS)
def test_a_bomb_is_unpacked_in_little_memory(tmp_path: Path, pack: Callable) -> None:
    (tmp_path / "bomb").write_bytes(pack(bytes(60 << 20)))
    tracemalloc.start()
    try:
        with open_shared(tmp_path, tmp_path / "bomb", PRODUCT) as file:
            assert sum(map(len, unpacked(file))) == 60 << 20
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()
