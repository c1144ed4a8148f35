from __future__ import annotations

import contextlib
import json
import tracemalloc
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.ngas.checksums import ChecksumType
from srdp.domain.ngas.locator_report import UNFINISHED, parse_locator_report

LOCATOR = "uid://evla/execblock/00000000-0000-0000-0000-000000000001"
FILES = 5_000
FILE = {
    "ngas_file_id": "uid____evla_bdf_1.bdf",
    "subdirectory": "13A-537.sb24066356.eb24324502.56514.05971091435",
    "relative_path": "ASDMBinary/uid____evla_bdf_1",
    "version": 1,
    "size": 108677120,
    "checksum": "-1848259250",
    "checksum_type": "ngamsGenCrc32",
    "server": {"server": "nmngas01.aoc.nrao.edu:7777", "location": "DSOC", "cluster": "DSOC"},
}


def parse(*files, **changes):
    total = sum(file["size"] for file in files) if "aggregate_size" not in changes else None
    document = {"files": list(files), "aggregate_size": total} | changes
    return parse_locator_report(json.dumps(document).encode(), LOCATOR)


def test_a_report_as_the_archive_sends_it():
    report = parse(FILE, FILE | {"relative_path": "ASDM.xml", "subdirectory": None, "size": 0, "unknown": {"x": 1}})
    first, second = report.files
    assert first.destination == PurePosixPath(f"{FILE['subdirectory']}/ASDMBinary/uid____evla_bdf_1")
    assert second.destination == PurePosixPath("ASDM.xml")
    assert (first.checksum, first.checksum_type) == (2446708046, ChecksumType.CRC32)
    assert report.servers == {"nmngas01.aoc.nrao.edu:7777"}
    assert report.aggregate_size == 108677120


def test_numbers_may_be_spelt_as_the_archive_likes():
    spelt = FILE | {"version": "1", "size": 108677120.0, "checksum": "2446708046.0"}
    assert parse(spelt, aggregate_size="108677120.0") == parse(FILE)


def test_a_report_without_a_subdirectory_is_in_rawdata_itself():
    file = {key: value for key, value in FILE.items() if key != "subdirectory"}
    assert parse(file).files[0].destination == PurePosixPath("ASDMBinary/uid____evla_bdf_1")


PATHS = [
    "", ".", "..", "/", "/etc/passwd", "../x", "a/../b", "a/..", "./a", "a/.", "a//b", "a/", "//a", "a\0b", "a\nb",
    "a\x7f", "a\u202eb", "\u200b", "x" * 256, "a/" * 1200 + "a", UNFINISHED, f"{UNFINISHED}/x.part", 3, True,
    ["a"], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["relative_path", "subdirectory"])
def test_a_path_that_could_leave_its_place_is_refused(name, path):
    with pytest.raises(InvalidInput, match=rf"^The locator report of '{LOCATOR}' is not usable: files\.0\.{name}: "):
        parse(FILE | {name: path})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"relative_path": "a/" * 1200 + "a"}, r"relative_path: 'a/a/.*' is a path of more than 2048 bytes"),
        ({"relative_path": "x" * 256}, r"relative_path: 'xxx.*' has a name of more than 255 bytes in it"),
        ({"relative_path": "é" * 128}, r"relative_path: .* has a name of more than 255 bytes in it"),
        (
            {"subdirectory": "a/" * 600 + "a", "relative_path": "b/" * 600 + "b"},
            r"relative_path: 'a/a/.*' is a path of",
        ),
    ],
)
def test_a_path_that_no_file_system_takes_is_a_sentence(changes, said):
    with pytest.raises(InvalidInput, match=rf"files\.0\.{said}") as caught:
        parse(FILE | changes)
    assert_one_sentence(str(caught.value))


def test_large_documents_use_little_memory():
    def document():
        yield b'{"files": ['
        for number in range(FILES):
            file = FILE | {"relative_path": f"ASDMBinary/{number}", "ngas_file_id": f"uid_{number}", "size": number}
            yield (b", " if number else b"") + json.dumps(file).encode()
        yield b'], "aggregate_size": %d}' % sum(range(FILES))

    tracemalloc.start()
    try:
        report = parse_locator_report(document(), LOCATOR)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(report.files) == FILES
    # Of 300 MB for 300,000 files: what is left without Python itself and 100 MB of text.
    assert peak < 500 * FILES


@pytest.mark.parametrize("value", [None, "a\ud800"])
def test_a_relative_path_that_is_no_text_is_refused(value):
    with pytest.raises(InvalidInput):
        parse(FILE | {"relative_path": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("ngas_file_id", value) for value in ["", None, 7, "x" * 65, "a\0", "a\r\nHost: x"]],
        *[("version", value) for value in [0, -1, "one", None, 1.5, True, 2**31]],
        *[("size", value) for value in [-1, "", None, 1.5, True, 10**30, "nan"]],
        *[("checksum", value) for value in ["", "abc", None, "0x1", "4294967296", 1.5, True]],
        *[("checksum_type", value) for value in ["md5", "", None, "sha256", 1]],
        *[
            ("server", value)
            for value in [
                None, "host:1", {}, {"server": None}, {"server": ""}, {"server": "host"}, {"server": "host:"},
                {"server": ":7777"}, {"server": "host:0"}, {"server": "host:65536"}, {"server": "host:7777/x"},
                {"server": "http://host:7777"}, {"server": "user@host:7777"}, {"server": "ho st:7777"},
                {"server": "host:7777\r\nX: y"}, {"server": "host:\u0667"}, {"server": "-host:7777"},
                {"server": ["host:1"]},
            ]
        ],
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(InvalidInput, match=rf"files\.0\.{name}") as caught:
        parse(FILE | {name: value}, aggregate_size=0)
    assert_one_sentence(str(caught.value))


def assert_one_sentence(text):
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 500
    assert text.endswith("Tell the archive's operators.")


@pytest.mark.parametrize("name", [name for name in FILE if name != "subdirectory"])
def test_a_value_that_is_missing_is_refused_by_name(name):
    with pytest.raises(InvalidInput, match=rf"files\.0\.{name}: it is missing"):
        parse({key: value for key, value in FILE.items() if key != name}, aggregate_size=0)


def test_two_files_in_one_place_are_refused():
    with pytest.raises(InvalidInput, match=r"two files have the destination '.*ASDMBinary/uid____evla_bdf_1'"):
        parse(FILE, FILE | {"ngas_file_id": "another"})


def test_two_spellings_of_one_place_are_one_place():
    with pytest.raises(InvalidInput, match="two files have the destination"):
        parse(
            FILE | {"subdirectory": "a/b", "relative_path": "c"},
            FILE | {"subdirectory": "a", "relative_path": "b/c"},
        )


def test_a_file_that_is_also_a_directory_is_refused():
    with pytest.raises(InvalidInput, match="'a/b' is both a file and the directory"):
        parse(
            FILE | {"subdirectory": "a", "relative_path": "b"},
            FILE | {"subdirectory": "a", "relative_path": "b/c"},
        )


def test_no_files_are_refused():
    with pytest.raises(InvalidInput, match="it names no file"):
        parse()


@pytest.mark.parametrize("total", [108677119, 0])
def test_sizes_that_do_not_add_up_are_refused(total):
    with pytest.raises(InvalidInput, match=f"108677120 bytes, but aggregate_size is {total}"):
        parse(FILE, aggregate_size=total)


@pytest.mark.parametrize("total", ["x", None, 108677120.5, -1])
def test_a_total_that_is_no_number_is_refused(total):
    with pytest.raises(InvalidInput, match="aggregate_size"):
        parse(FILE, aggregate_size=total)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"3", b"{}", b"<html/>", b"\xff\xfe", b'{"files": null, "aggregate_size": 0}',
        b'{"files": {}, "aggregate_size": 0}', b'{"files": [null], "aggregate_size": 0}', b"[" * 100_000,
        b'{"files": [], "aggregate_size": NaN}', b'{"files": [], "aggregate_size": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_in_one_sentence(content):
    with pytest.raises(InvalidInput, match=f"^The locator report of '{LOCATOR}' is not usable: ") as caught:
        parse_locator_report(content, LOCATOR)
    assert_one_sentence(str(caught.value))


def test_how_many_problems_there_are_is_said():
    with pytest.raises(InvalidInput, match="and 2 more problems"):
        parse(FILE | {"size": -1, "version": 0, "checksum": ""}, aggregate_size=0)


@given(st.text(max_size=30), st.one_of(st.none(), st.text(max_size=30)))
def test_whatever_is_let_through_stays_inside(relative_path, subdirectory):
    with contextlib.suppress(InvalidInput):
        destination = parse(FILE | {"relative_path": relative_path, "subdirectory": subdirectory}).files[0].destination
        root = Path("/area/run/rawdata")
        assert Path(f"{root}/{destination}").resolve().is_relative_to(root)
        assert len(destination.parts) >= 1
        assert ".." not in destination.parts
