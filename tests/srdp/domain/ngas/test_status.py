from __future__ import annotations

from http import HTTPStatus

import pytest

from srdp.domain.common.errors import InvalidInput, OperatorsNeeded, ServiceUnavailable, SettingsError
from srdp.domain.ngas.status import (
    ANSWERS,
    NgasCode,
    NgasFileUnavailable,
    NgasLoginRefused,
    NgasMimeTypeRefused,
    NgasRefused,
    NgasRightMissing,
    NgasStorageFull,
    StoredFile,
    parse_status,
    refusal,
)

SERVER = "nmngas01:7777"
# As the server sends it: its document type names a file on a network that nobody here may ask.
DOCTYPE = (
    b'<?xml version="1.0" ?><!DOCTYPE NgamsStatus SYSTEM "http://nmngas01:7777/RETRIEVE?internal=ngamsStatus.dtd">'
)


def reply(message, *, status="FAILURE", state="ONLINE", inside=""):
    return (
        DOCTYPE
        + (
            f'<NgamsStatus><Status Date="2026-11-22" HostId="nmngas01" Message="{message}" State="{state}" '
            f'Status="{status}" SubState="IDLE" Version="v12.0"/>{inside}</NgamsStatus>'
        ).encode()
    )


def test_a_file_is_described_with_its_checksum_unsigned():
    status = parse_status(
        reply(
            "Successfully handled command STATUS",
            status="SUCCESS",
            inside='<DiskStatus DiskId="d"><FileStatus FileId="a" FileVersion="2" FileSize="7" Checksum="-1" '
            'ChecksumPlugIn="ngamsGenCrc32" Format="application/octet-stream" FileStatus="00000000"/></DiskStatus>',
        ),
        SERVER,
    )
    assert status.succeeded
    assert status.online
    assert status.codes == ()
    assert status.files == (StoredFile("a", 2, 7, 2**32 - 1, "ngamsGenCrc32", "d"),)
    assert status.host_id == "nmngas01"


@pytest.mark.parametrize("attribute", ['FileVersion="two"', 'FileVersion="2" FileSize="7" Checksum="abc"', ""])
def test_a_description_that_makes_no_sense_is_refused(attribute):
    content = reply("", inside=f'<DiskStatus><FileStatus FileId="a" {attribute}/></DiskStatus>')
    with pytest.raises(InvalidInput, match=SERVER):
        parse_status(content, SERVER)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"<NgamsStatus/>",
        b"<NgamsStatus><Status",
        b"\x00\xff",
        b'<!DOCTYPE NgamsStatus [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><NgamsStatus>&c;</NgamsStatus>',
        b'<!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]><NgamsStatus>&x;</NgamsStatus>',
    ],
)
def test_what_is_no_ngas_reply_is_refused_in_one_sentence(content):
    with pytest.raises(InvalidInput, match=f"The reply of NGAS server {SERVER}") as caught:
        parse_status(content, SERVER)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    ("http_status", "content"),
    [
        (503, b""),
        (503, b"<html>busy</html>"),
        (400, reply("NGAMS_ER_IMPROPER_STATE:4015:ERROR: State is OFFLINE")),
        (400, reply("whatever", state="OFFLINE")),
    ],
)
def test_what_may_be_tried_again(http_status, content):
    assert isinstance(refusal(http_status, content, SERVER, "RETRIEVE of 'a'"), ServiceUnavailable)


@pytest.mark.parametrize(
    ("http_status", "content", "kind", "code"),
    [
        (400, reply("NGAMS_ER_UNAVAIL_FILE:4019:ERROR: a is not there"), NgasFileUnavailable, 4019),
        (400, reply("NGAMS_AL_NO_STO_SETS:3014:ALERT: no storage set"), NgasStorageFull, 3014),
        (400, reply("NGAMS_ER_UNKNOWN_MIME_TYPE:4047:ERROR: x/y"), NgasMimeTypeRefused, 4047),
        (400, reply("NGAMS_ER_ARCHIVE_PUSH:4013:ERROR: no"), NgasRefused, 4013),
        (400, reply("Checksum error for file a"), NgasRefused, None),
        (404, b"Not found", NgasRefused, None),
        (404, reply("Unknown command"), NgasRefused, None),
        (411, reply("Content-Length is required"), NgasRefused, None),
        (500, b"", NgasRefused, None),
        (200, reply("NGAMS_ER_UNAVAIL_FILE:4019:ERROR"), NgasFileUnavailable, 4019),
    ],
)
def test_what_is_refused_for_good(http_status, content, kind, code):
    error = refusal(http_status, content, SERVER, "RETRIEVE of 'a'")
    assert type(error) is kind
    assert error.code == code
    assert SERVER in str(error)
    assert "RETRIEVE of 'a'" in str(error)


@pytest.mark.parametrize(("http_status", "kind"), [(401, NgasLoginRefused), (403, NgasRightMissing)])
def test_refused_login_and_missing_right_differ(http_status, kind):
    error = refusal(http_status, reply("NGAMS_ER_IMPROPER_STATE:4015"), SERVER, "RETRIEVE of 'a'")
    assert type(error) is kind
    assert isinstance(error, SettingsError)
    assert "login and password" in str(error)


def test_every_answer_in_the_table_says_what_it_calls_for():
    errors = {key: answer.error("") for key, answer in ANSWERS.items()}
    assert [key for key, error in errors.items() if isinstance(error, ServiceUnavailable)] == [
        HTTPStatus.SERVICE_UNAVAILABLE,
        NgasCode.SERVER_OFFLINE,
    ]
    assert [key for key, error in errors.items() if isinstance(error, OperatorsNeeded)] == [NgasCode.NO_STORAGE_SET]


def test_full_storage_is_something_to_tell_the_operators():
    error = refusal(400, reply("NGAMS_AL_NO_STO_SETS:3014:ALERT"), SERVER, "ARCHIVE of 'a'")
    assert "tell the archive's operators" in str(error)


def test_a_hostile_message_is_shown_quoted_and_short():
    error = refusal(400, reply("\u202e&#10;Subject: x" + "y" * 10_000), SERVER, "STATUS")
    assert "\n" not in str(error)
    assert "\u202e" not in str(error)
    assert len(str(error)) < 400
