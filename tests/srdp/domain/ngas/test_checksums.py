from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.ngas.checksums import ChecksumType, RunningChecksum, checksum_type, unsigned_checksum


@pytest.mark.parametrize("name", ["crc32", "crc32z", "ngamsGenCrc32", "StreamCrc32"])
def test_the_names_of_zlibs_checksum(name):
    assert checksum_type(name) is ChecksumType.CRC32


def test_crc32c_is_castagnolis():
    assert checksum_type("crc32c") is ChecksumType.CRC32C
    running = RunningChecksum(ChecksumType.CRC32C)
    running.update(b"12345")
    running.update(b"6789")
    assert running.value == 0xE3069283  # the check value of the CRC catalogues
    assert running.crc32 == 0xCBF43926


@pytest.mark.parametrize("name", ["md5", "", None, "CRC32", "crc32\n", 32, "x" * 10_000])
def test_an_unknown_name_is_refused_in_short(name):
    with pytest.raises(InvalidInput, match="is not known; known are crc32, crc32z") as caught:
        checksum_type(name)
    assert len(str(caught.value)) < 250


@given(st.binary())
def test_the_signed_number_of_old_records_is_the_same_checksum(data):
    unsigned = zlib.crc32(data)
    signed = unsigned - 2**32 if unsigned >= 2**31 else unsigned
    assert unsigned_checksum(str(signed)) == unsigned_checksum(str(unsigned)) == unsigned_checksum(signed) == unsigned


@pytest.mark.parametrize("value", ["1790440115", "1790440115.0", 1790440115, 1790440115.0])
def test_a_checksum_may_have_any_spelling(value):
    assert unsigned_checksum(value) == 1790440115


@given(st.lists(st.binary()))
def test_a_checksum_does_not_depend_on_how_the_bytes_come(blocks):
    running = RunningChecksum()
    for block in blocks:
        running.update(block)
    assert running.value == running.crc32 == zlib.crc32(b"".join(blocks))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x10",
        "1.5",
        "1e400",
        "nan",
        None,
        True,
        1.5,
        2**32,
        -(2**31) - 1,
        "4294967296",
        "\u0663",
        "9" * 99,
    ],
)
def test_what_is_no_number_of_32_bits_is_refused(value):
    with pytest.raises(InvalidInput, match="not a decimal number of 32 bits"):
        unsigned_checksum(value)
