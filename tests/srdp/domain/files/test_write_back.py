"""Bytes that go to the disk while a file grows."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from srdp.domain.files import write_back
from srdp.domain.files.write_back import WriteBack

STEP = 8 << 20


@pytest.fixture
def begun(monkeypatch) -> list[tuple[int, int]]:
    """What the system was asked to begin with: offsets and lengths."""
    asked: list[tuple[int, int]] = []

    def sync_file_range(_, offset, length, flags):
        assert flags.value == 2, "it waits for nothing"
        asked.append((offset.value, length.value))

    monkeypatch.setattr(write_back, "libc", lambda: SimpleNamespace(sync_file_range=sync_file_range))
    return asked


def test_writeback_starts_once_for_each_part(begun):
    growing = WriteBack(0, offset=5)
    for _ in range(20):
        growing.wrote(1 << 20)
    assert begun == [(5, STEP), (5 + STEP, STEP)]


def test_what_cannot_be_begun_is_left_to_the_sync_at_the_end(tmp_path):
    here, there = os.pipe()
    try:
        WriteBack(there).wrote(STEP)
    finally:
        os.close(here)
        os.close(there)
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(STEP))
        WriteBack(file.fileno()).wrote(STEP)
    assert (tmp_path / "file").read_bytes() == bytes(STEP)
