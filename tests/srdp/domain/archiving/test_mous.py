"""What a MOUS is to the workflows, and what of it must be in rawdata/ before CASA is started."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from tests.fetching import report_document

from srdp.domain.archiving.mous import Mous, check_restorable, mous, report_of_mous, sessions_of
from srdp.domain.common.errors import IntegrityError, InvalidInput, Refused
from srdp.domain.ngas.locator_report import LocatorReport, combined_report, parse_locator_report
from srdp.domain.runs.ledger_records import FetchedFile

UID = "uid://A001/X1288/X3f"
ASDMS = ("uid://A002/X85c183/X36f", "uid://A002/X85c183/X60")
NAMES = ("uid___A002_X85c183_X36f", "uid___A002_X85c183_X60")
CALIBRATION = "uid://alma/calibration/00000000-0000-0000-0000-000000000001"
MANIFEST = "uid___A001_X1288_X3f.hifa_calimage.pipeline_manifest.xml"
CALTABLES = "uid___A001_X1288_X3f.session_1.caltables.tgz"
OF_EACH = [f"{name}.ms.{ending}" for name in NAMES for ending in ("flagversions.tgz", "calapply.txt")]
CONTENT = (
    f'<piperesults><ous name="uid___A001_X1288_X3f"><session name="session_1"><caltables name="{CALTABLES}"/>'
    + "".join(
        f'<asdm name="{name}.ms"><finalflags name="{name}.ms.flagversions.tgz"/>'
        f'<applycmds name="{name}.ms.calapply.txt"/></asdm>'
        for name in NAMES
    )
    + "</session></ous></piperesults>"
).encode()


def the_mous(**changes) -> Mous:
    return mous(
        **{
            "uid": UID,
            "project": "2019.1.00001.S",
            "asdms": [(uid, name, uid) for uid, name in zip(ASDMS, NAMES, strict=True)],
            "calibration": CALIBRATION,
            "frequency_ghz": 231.5,
            "resolution_arcsec": 0.9,
        }
        | changes
    )


def report(files, *, folder=None, server="ngas1:7777", about=CALIBRATION) -> LocatorReport:
    document = report_document(files, server)
    for file in document["files"]:
        file["subdirectory"] = folder
    return parse_locator_report(json.dumps(document).encode(), about)


PRODUCTS = {name: name.encode() for name in (MANIFEST, CALTABLES, *OF_EACH)}


def reports(**changes) -> dict[str, LocatorReport]:
    found = {
        uid: report({"ASDM.xml": uid.encode()}, folder=name, about=uid, server=f"ngas{number}:7777")
        for number, (uid, name) in enumerate(zip(ASDMS, NAMES, strict=True))
    }
    return {**found, CALIBRATION: report(PRODUCTS), **changes}


def test_it_comes_back_from_the_ledger_as_it_was():
    for known in (the_mous(), the_mous(calibration=None, frequency_ghz=None, resolution_arcsec=None)):
        assert Mous.from_json(json.loads(json.dumps(known.as_json()))) == known


@pytest.mark.parametrize("number", [Decimal("0.9"), 0.9])
def test_a_number_is_one_whatever_type_the_database_has_for_it(number):
    known = the_mous(resolution_arcsec=number, frequency_ghz=Decimal("231.5"))
    assert known == the_mous()
    assert json.loads(json.dumps(known.as_json()))["frequency_ghz"] == 231.5


@pytest.mark.parametrize("nonsense", [None, float("nan"), Decimal("NaN"), float("inf"), 0, -1.0, 1e-300, "x", "1e400"])
def test_a_number_that_cannot_be_is_not_known(nonsense):
    known = the_mous(resolution_arcsec=nonsense, frequency_ghz=nonsense)
    assert (known.resolution_arcsec, known.frequency_ghz) == (None, None)


def test_locators_are_those_of_asdms_and_calibration():
    assert the_mous().locators == (*ASDMS, CALIBRATION)


def test_without_a_calibration_it_is_not_imaged():
    with pytest.raises(Refused, match=f"The archive has no calibration of {UID}"):
        _ = the_mous(calibration=None).locators


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": "uid://A001/../x"},
        {"asdms": [("x", NAMES[0], ASDMS[0])]},
        {"asdms": [(ASDMS[0], "../x", ASDMS[0])]},
        {"asdms": [(ASDMS[0], NAMES[0], "http://elsewhere")]},
        {"asdms": [(ASDMS[0], NAMES[0], "uid://A002/../../x")]},
        {"calibration": "uid://alma/calibration/x?y"},
        {"calibration": "uid://alma/\n"},
    ],
)
def test_what_the_archive_says_passes_the_doors_too(changes):
    with pytest.raises(InvalidInput):
        the_mous(**changes)


# What is fetched


def test_all_reports_become_one():
    found = report_of_mous(the_mous(), reports())
    assert {str(file.destination) for file in found.files} == {f"{name}/ASDM.xml" for name in NAMES} | set(PRODUCTS)
    assert found.aggregate_size == sum(each.aggregate_size for each in reports().values())
    assert found.servers == {"ngas0:7777", "ngas1:7777"}


def test_identical_locator_entries_are_taken_once():
    one, other = report({"a": b"x", "b": b"y"}), report({"b": b"y", "c": b"z"}, server="ngas2:7777")
    found = combined_report({"uid://a/b": one, "uid://a/c": other})
    assert [file.destination.name for file in found.files] == ["a", "b", "c"]
    assert found.aggregate_size == 3


@pytest.mark.parametrize("content", [b"yy", b"z"])
def test_conflicting_locator_reports_are_refused(content):
    one, other = report({"a": b"x", "b": b"y"}), report({"b": content})
    with pytest.raises(InvalidInput, match="'uid://a/b' and 'uid://a/c' both name 'b', with other sizes or checksums"):
        combined_report({"uid://a/b": one, "uid://a/c": other})


def test_a_file_of_one_report_is_no_directory_of_another():
    one, other = report({"a": b"x"}), report({"b": b"y"}, folder="a")
    with pytest.raises(InvalidInput, match="'a' is both a file and the directory of another"):
        combined_report({"uid://a/b": one, "uid://a/c": other})


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({ASDMS[0]: report({"ASDM.xml": b"x"}, folder=NAMES[1])}, f"rawdata/{NAMES[0]}"),
        ({ASDMS[0]: report({"ASDM.xml": b"x"})}, f"rawdata/{NAMES[0]}"),
        ({CALIBRATION: report(PRODUCTS, folder="calibration")}, "rawdata/ itself"),
    ],
)
def test_a_file_where_the_pipeline_does_not_look_is_refused(changes, place):
    with pytest.raises(InvalidInput, match=f"the pipeline looks for its files in {place}"):
        report_of_mous(the_mous(), reports(**changes))


GAPS = [
    (MANIFEST, r"no manifest \*pipeline_manifest\.xml"),
    (CALTABLES, r"no calibration tables \*\.caltables\.tgz"),
    (OF_EACH[2], f"no flags {OF_EACH[2]}"),
    (OF_EACH[1], f"no apply list {OF_EACH[1]}"),
]


@pytest.mark.parametrize(("left_out", "words"), GAPS)
def test_incomplete_calibration_is_found_before_the_fetch(left_out, words):
    products = {name: content for name, content in PRODUCTS.items() if name != left_out}
    with pytest.raises(Refused, match=f"{CALIBRATION} of {UID} cannot be restored, because it has {words}"):
        report_of_mous(the_mous(), reports(**{CALIBRATION: report(products)}))


# What was fetched


@pytest.fixture
def rawdata(tmp_path):
    for name in PRODUCTS:
        (tmp_path / name).write_bytes(CONTENT if name == MANIFEST else b"x")
    return tmp_path


def fetched(*names):
    return [FetchedFile(path=name, size_bytes=1, crc32=0, ngas_file_id="x") for name in names]


ALL = (*PRODUCTS, f"{NAMES[0]}/ASDM.xml", f"{NAMES[1]}/ASDM.xml")


def test_a_complete_calibration_can_be_restored(rawdata):
    check_restorable(the_mous(), rawdata, fetched(*ALL))


@pytest.mark.parametrize(("left_out", "words"), GAPS)
def test_what_is_missing_is_named(rawdata, left_out, words):
    with pytest.raises(Refused, match=words):
        check_restorable(the_mous(), rawdata, fetched(*(name for name in ALL if name != left_out)))


def test_what_is_in_an_asdm_does_not_count(rawdata):
    files = fetched(*(name for name in ALL if name != CALTABLES), f"{NAMES[0]}/{CALTABLES}")
    with pytest.raises(Refused, match="no calibration tables"):
        check_restorable(the_mous(), rawdata, files)


def test_two_manifests_are_one_too_many(rawdata):
    with pytest.raises(Refused, match="2 manifests"):
        check_restorable(the_mous(), rawdata, fetched(*ALL, "other.pipeline_manifest.xml"))


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ((CALTABLES.encode(), b"Undefined"), "no calibration tables in its manifest"),
        ((b"session_1.caltables", b"session_2.caltables"), "session_2.caltables.tgz', the calibration tables that"),
    ],
)
def test_a_manifest_that_does_not_lead_to_the_files_is_refused(rawdata, replaced, words):
    (rawdata / MANIFEST).write_bytes(CONTENT.replace(*replaced))
    with pytest.raises(Refused, match=words):
        check_restorable(the_mous(), rawdata, fetched(*ALL))


def test_unreadable_manifest_is_reported_in_one_sentence(rawdata):
    (rawdata / MANIFEST).write_bytes(b"<piperesults>")
    with pytest.raises(IntegrityError, match=f"The calibration of {UID} cannot be restored: rawdata/{MANIFEST}"):
        check_restorable(the_mous(), rawdata, fetched(*ALL))


# Sessions

TWO = CONTENT.replace(
    f'<asdm name="{NAMES[0]}.ms">'.encode(), f'</session><session name="session_2"><asdm name="{NAMES[0]}.ms">'.encode()
).replace(
    f'<asdm name="{NAMES[1]}.ms">'.encode(), f'</session><session name="session_1"><asdm name="{NAMES[1]}.ms">'.encode()
)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (CONTENT, {1: [0, 1]}),
        (TWO, {1: [1], 2: [0]}),
        (TWO.replace(b"session_2", b"evening"), {1: [0, 1]}),
        (CONTENT.replace(NAMES[0].encode(), b"another"), {1: [0, 1]}),
        (None, {1: [0, 1]}),
    ],
    ids=["one", "two", "no number", "not named", "no manifest"],
)
def test_sessions_are_those_of_the_manifest(tmp_path, manifest, expected):
    if manifest is not None:
        (tmp_path / MANIFEST).write_bytes(manifest)
    asdms = the_mous().asdms
    found = sessions_of(asdms, tmp_path)
    assert {number: [asdms.index(each) for each in members] for number, members in found.items()} == expected
    assert list(found) == sorted(found)


@pytest.mark.parametrize("made", [lambda place: place.symlink_to("../elsewhere"), os.mkfifo])
def test_a_manifest_that_is_no_file_is_not_read(rawdata: Path, made) -> None:
    place = next(rawdata.glob("*pipeline_manifest.xml"))
    place.rename(rawdata.parent / "elsewhere")
    made(place)
    with pytest.raises(IntegrityError, match=r"cannot be restored: .* is a (symbolic link|named pipe)"):
        check_restorable(the_mous(), rawdata, fetched(*ALL))
