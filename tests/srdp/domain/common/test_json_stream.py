"""A JSON document read as it comes: what it says, however it is cut into blocks, and no more of it held than that."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common import json_stream
from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.json_stream import LONGEST_VALUE, in_blocks, read_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def read(document: bytes, size: int = 1 << 20) -> tuple[list[object], dict[str, object]]:
    taken: list[object] = []
    blocks = (document[start : start + size] for start in range(0, len(document), size))
    members = read_object(blocks, "files", taken.append)
    return taken, members


@given(
    st.lists(VALUES), st.dictionaries(st.text().filter(lambda name: name != "files"), VALUES), st.booleans(),
    st.integers(1, 9), st.sampled_from([None, 1]),
)  # fmt: skip
def test_what_it_says_is_read_however_it_is_cut(files, others, ascii_only, size, indent) -> None:
    document = json.dumps({"files": files} | others, ensure_ascii=ascii_only, indent=indent)
    assert read(document.encode("utf-8", "surrogatepass"), size) == (files, others)


@pytest.mark.parametrize("files", [None, 7, {}, "x"])
def test_what_is_no_array_is_a_member_like_the_others(files) -> None:
    assert read(json.dumps({"files": files, "a": 1}).encode()) == ([], {"files": files, "a": 1})


@pytest.mark.parametrize(
    "document",
    [
        b"", b" ", b"[]", b"3", b"{", b"{}x", b"{}{}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1 "b":2}', b"{a:1}",
        b'{"files":[', b'{"files":[1', b'{"files":[1,', b'{"files":[1,]}', b'{"files":[1}', b'{"files":[,1]}', b"{3:1}",
        b'{"files":[1],"files":[2]}', b'{"a":1,"a":2}', b'{"a":"\xff"}', b'{"a":"b\xc3', b"\xef\xbb\xbf{}",
        b'{"a":tru}', b'{"a":' + b"[" * 60_000, b'{"a":' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(document) -> None:
    with pytest.raises(InvalidInput, match="not a JSON object"):
        read(document)


@pytest.mark.parametrize("value", [b'"%s"', b"[%s]", b"1%s", b"%s", b"{%s}", b'"%s'])
@pytest.mark.parametrize("place", [b'{"files":[%s]}', b'{"files":[1,%s]}', b'{"a":%s}'])
def test_overlong_value_is_refused_while_reading(place, value) -> None:
    read_bytes = 0

    def endless() -> Iterator[bytes]:
        nonlocal read_bytes
        head = place.partition(b"%s")[0] + value.partition(b"%s")[0]
        for block in (head, *[b"1" * 1000] * 1000):
            read_bytes += len(block)
            yield block

    with pytest.raises(InvalidInput, match=f"more than {LONGEST_VALUE} characters|not a JSON object"):
        read_object(endless(), "files", lambda _element: None)
    assert read_bytes < 3 * LONGEST_VALUE


def test_blanks_are_passed_however_many_there_are() -> None:
    blanks = b" \n\t\r" * LONGEST_VALUE
    file = b'{"a":"%s"}' % (b"x" * 60_000)
    document = blanks.join([b"", b"{", b'"files"', b":", b"[", file, b",", file, b"]", b"}", b""])
    taken, members = read(document, 7777)
    assert (taken, members) == ([json.loads(file)] * 2, {})


def test_a_document_that_is_here_is_cut_into_blocks(monkeypatch) -> None:
    monkeypatch.setattr(json_stream, "_BLOCK_BYTES", 3)
    assert list(in_blocks(b"abcdefgh")) == [b"abc", b"def", b"gh"]
