from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.archiving.metadata import (
    CommittedFile,
    CommittedResult,
    ProvedFile,
    ResultMetadata,
    differences,
    metadata_gaps,
    proved_files,
)
from srdp.domain.archiving.result_locators import kind_of_result, known_result_locator
from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.ledger_records import FileOfIngest
from srdp.families import ALMA, VLA, result_locator

RUN = "vla-20261122-182453-4f7k"
ALMA_RUN = "alma-20261122-182453-4f7k"
BLOCK = "uid://evla/execblock/00000000-0000-0000-0000-000000000001"
MOUS = "uid://A001/X1288/X3f"
FILE = ProvedFile(
    kind="weblog", ngas_file_id=f"{RUN}.weblog.tgz", version=1, size_bytes=5, crc32=7, relative_path="weblog.tgz"
)


IMAGES = {"begins": ALMA.result_locator, "pipeline_run_id": ALMA_RUN}


def metadata(**changes):
    values = {
        "pipeline_run_id": RUN,
        "ingest_number": 1,
        "begins": VLA.result_locator,
        "belongs_to": BLOCK,
        "files": (FILE,),
        "ngas_server": "127.0.0.1:7777",
        "verdict": QaVerdict(QaFlag.PASS),
        "qa_notes": "",
    }
    return ResultMetadata(**(values | changes))


def committed(*files, belongs_to=BLOCK):
    return CommittedResult(
        locator=result_locator(RUN, 1),
        belongs_to=belongs_to,
        files=tuple(files),
        casa_version=None,
        pipeline_version=None,
        qa_notes=None,
        ingested_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def recorded(**changes):
    values = {
        "kind": None,
        "ngas_file_id": FILE.ngas_file_id,
        "version": 1,
        "size_bytes": 5,
        "checksum": "7",
        "checksum_type": "crc32",
        "relative_path": "another name",
        "ngas_server": "127.0.0.1:7777",
    }
    return CommittedFile(**(values | changes))


def test_numbers_of_a_sites_table_may_have_any_type():
    reported = recorded(version="1", size_bytes=Decimal("5.0"), checksum="7.0")
    assert (reported.version, reported.size_bytes, reported.crc32) == (1, 5, 7)
    assert metadata_gaps(committed(reported), [FILE]) == metadata_gaps(committed(recorded()), [FILE])
    for nonsense in ({"size_bytes": "nan"}, {"size_bytes": -1}, {"version": 1.5}, {"version": None}):
        with pytest.raises(InvalidInput, match=f"of '{FILE.ngas_file_id}' in the archive's database"):
            recorded(**nonsense)


# Locators


def test_a_locator_is_the_same_for_ever():
    # Written out: archives hold what was derived in this way.
    assert result_locator(RUN, 1) == "uid://evla/calibration/52ee4946-4603-59de-9c41-485befbc8b75"
    assert result_locator(RUN, 2) != result_locator(RUN, 1)
    assert result_locator("vla-20261122-182453-4f7m", 1) != result_locator(RUN, 1)
    assert result_locator("alma-20261122-182453-4f7k", 1) == "uid://alma/image_set/c9ef2f76-3589-5f90-9e08-80d463168bb1"
    assert known_result_locator(result_locator(RUN, 3)) == result_locator(RUN, 3)
    assert [kind_of_result(result_locator(run, 1)) for run in (RUN, ALMA_RUN)] == ["calibration", "image_set"]


@pytest.mark.parametrize(("run_id", "number"), [("../x", 1), ("x-1", 1), (None, 1), (RUN, 0)])
def test_no_locator_is_derived_from_anything_else(run_id, number):
    with pytest.raises(InvalidInput):
        result_locator(run_id, number)


@pytest.mark.parametrize(
    "value",
    ["", None, BLOCK, "uid://evla/image_set/" + 36 * "0", result_locator(RUN, 1) + "\n", "uid://evla/calibration/1"],
)
def test_what_is_no_locator_of_a_calibration_is_refused(value):
    with pytest.raises(InvalidInput, match="is not the locator of a calibration"):
        known_result_locator(value)


# What is to be written


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "Web log"},
        {"kind": ""},
        {"ngas_file_id": "x" * 65},
        {"ngas_file_id": "a b"},
        {"ngas_file_id": ""},
        {"version": 0},
        {"version": 2**31},
        {"size_bytes": 0},
        {"size_bytes": 2**63},
        {"crc32": 2**32},
        {"relative_path": "/etc/passwd"},
        {"relative_path": "a/../b"},
        {"relative_path": "a//b"},
        {"relative_path": "a\0"},
        {"relative_path": "a\n"},
        {"relative_path": "x" * 501},
        {"relative_path": ""},
    ],
)
def test_a_file_that_cannot_be_one_is_refused(wrong):
    with pytest.raises(InvalidInput):
        replace(FILE, **wrong)


def test_a_signed_checksum_becomes_unsigned():
    assert replace(FILE, crc32=-1).crc32 == 2**32 - 1


def test_files_of_an_ingest_are_those_that_are_proved():
    now = datetime.now(UTC)
    file = FileOfIngest(
        ngas_file_id=FILE.ngas_file_id,
        kind="weblog",
        name="weblog.tgz",
        mime_type="application/x-gzip",
        size_bytes=5,
        crc32=7,
        sent_at=now,
        ngas_version=1,
        proved_at=now,
    )
    assert proved_files([file]) == (FILE,)
    for unproved in (replace(file, proved_at=None), replace(file, ngas_version=None)):
        with pytest.raises(Refused, match="is not proved to be in NGAS"):
            proved_files([file, unproved])


def test_a_result_belongs_to_an_execution_block_or_to_a_mous():
    assert (metadata().execution_block_locator, metadata().mous_uid) == (BLOCK, None)
    of_mous = metadata(begins=ALMA.result_locator, belongs_to=MOUS, pipeline_run_id=ALMA_RUN)
    assert (of_mous.execution_block_locator, of_mous.mous_uid) == (None, MOUS)
    of_block = metadata(begins="uid://evla/image_set/")
    assert (of_block.execution_block_locator, of_block.mous_uid) == (BLOCK, None)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"belongs_to": "13A-537"}, "not the locator of a VLA execution block"),
        ({"belongs_to": "uid://A001/X1288"}, "not the UID of an ALMA MOUS"),
        ({"ngas_server": None}, "not the name of an NGAS server"),
        ({"ngas_server": "host"}, "not the name of an NGAS server"),
        ({"status": ""}, "not a calibration status"),
        ({**IMAGES, "belongs_to": MOUS, "status": "Calibrated"}, "is no execution block"),
        ({"belongs_to": MOUS}, "makes nothing that could belong to"),
        ({"files": (), "status": "Calibrated"}, "nothing of its calibration is in NGAS"),
    ],
)
def test_what_contradicts_itself_is_refused(wrong, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        metadata(**wrong)


def test_without_ngas_there_are_no_files_and_no_server():
    assert metadata(files=(), ngas_server=None).files == ()


# What is there


def test_nothing_is_missing_if_every_file_is_there():
    assert metadata_gaps(committed(recorded(), recorded(ngas_file_id="more")), [FILE]) == ()


@pytest.mark.parametrize(
    ("there", "gap"),
    [
        ([], f"does not have '{FILE.ngas_file_id}' version 1."),
        ([recorded(ngas_file_id="x")], "does not have"),
        ([recorded(version=2)], "version 1, but version 2."),
        ([recorded(size_bytes=6)], "with 6 bytes"),
        ([recorded(checksum="8")], "the checksum '8'"),
        ([recorded(checksum="seven")], "the checksum 'seven'"),
        ([recorded(checksum_type="crc32c")], "('crc32c')"),
        ([recorded(checksum_type="md5\n")], r"('md5\n')"),
    ],
)
def test_what_is_missing_or_other_is_named(there, gap):
    (sentence,) = metadata_gaps(committed(*there), [FILE])
    assert gap in sentence


def test_no_calibration_and_no_file_are_gaps():
    assert metadata_gaps(None, [FILE]) == ("The archive's database has no such calibration or image set.",)
    (sentence,) = metadata_gaps(committed(recorded()), iter(()))
    assert "cannot have any" in sentence


@pytest.mark.parametrize(("kind", "known"), [("science", False), ("ancillary", False), ("associated", True)])
def test_of_an_image_the_archive_is_to_tell_something(kind, known):
    image = replace(FILE, kind=kind, relative_path="a.fits")
    assert (metadata_gaps(committed(recorded()), [image]) == ()) == known
    # By the name that the archive gives it, too.
    for name in ("a.fits", "another name"):
        assert metadata_gaps(replace(committed(recorded()), images=("x", name)), [image]) == ()


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from(["crc32", "crc32z", "ngamsGenCrc32", "StreamCrc32"]))
def test_a_checksum_is_the_same_however_it_was_recorded(value, signed, name):
    text = str(value - 2**32 if signed and value >= 2**31 else value)
    file = replace(FILE, crc32=value)
    assert metadata_gaps(committed(recorded(checksum=text, checksum_type=name)), [file]) == ()
    other = replace(FILE, crc32=value ^ 1)
    assert len(metadata_gaps(committed(recorded(checksum=text, checksum_type=name)), [other])) == 1


def test_calibrations_differ_by_files_and_owner():
    assert differences(committed(recorded()), metadata()) == ()
    assert differences(committed(), metadata(files=())) == ()
    assert len(differences(committed(recorded(size_bytes=6), belongs_to=MOUS), metadata())) == 2
    (more,) = differences(committed(recorded(), recorded(version=2)), metadata())
    assert f"also has '{FILE.ngas_file_id}' version 2" in more
    (unexpected,) = differences(committed(recorded()), metadata(files=()))
    assert "also has" in unexpected
