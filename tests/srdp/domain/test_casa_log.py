from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.casa_log import (
    describe_stage,
    find_casa_log,
    printable_lines,
    read_on,
    stage_in_log,
    tail_of_log,
)
from srdp.domain.pipeline_run import RunDirectory

COMMANDS = ("hifv_importdata", "hifv_checkflag", "hifv_checkflag_two", "hifv_checkflag", "hifv_exportdata")


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    (tmp_path / "working").mkdir()
    return RunDirectory(tmp_path)


def test_the_log_is_found_under_the_name_that_casa_gave_it(directory):
    assert find_casa_log(directory) is None
    for age, name in enumerate(["casa-20261122-182453.log", "casa.log"]):
        (directory.working / name).touch()
        os.utime(directory.working / name, (1000 - age, 1000 - age))
    (directory.working / "casa_commands.log").touch()
    (directory.working / "casa.log.bak").touch()
    log = find_casa_log(directory)
    assert log is not None
    assert log.name == "casa-20261122-182453.log"


def test_a_fifo_in_the_place_of_the_log_holds_nobody_up(directory):
    os.mkfifo(directory.casa_log)
    assert find_casa_log(directory) is None


def test_the_tail_reads_the_end_of_a_large_log_only(tmp_path):
    log = tmp_path / "casa.log"
    with log.open("wb") as stream:
        stream.truncate(10_000_000_000)  # sparse
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nlast but one\nlast\n")
    assert tail_of_log(log, 2) == ("last but one", "last")
    assert tail_of_log(tmp_path / "none.log", 2) == ()


def test_what_is_shown_of_a_log_is_harmless():
    lines = printable_lines("a\tb\x1b[31mred\x00\n\n  \nx" + "y" * 10_000)
    assert lines[0] == "a   b?[31mred?"
    assert len(lines) == 2
    assert len(lines[1]) < 500


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_reading_on_loses_and_repeats_nothing(tmp_path_factory, first, second):
    log = tmp_path_factory.mktemp("log") / "casa.log"
    log.write_bytes(first)
    one, offset = read_on(log, None)
    with log.open("ab") as stream:
        stream.write(second)
    two, end = read_on(log, offset)
    assert one == first.decode("utf-8", "replace")
    assert two == second.decode("utf-8", "replace")
    assert end == len(first + second)
    assert read_on(log, end) == ("", end)


def test_a_log_that_was_begun_anew_is_read_anew(tmp_path):
    log = tmp_path / "casa.log"
    log.write_text("short")
    assert read_on(log, 1000) == ("short", 5)


def test_the_first_reading_begins_near_the_end(tmp_path):
    log = tmp_path / "casa.log"
    log.write_bytes(b"x" * 100 + b"end")
    assert read_on(log, None, 3) == ("end", 103)
    assert read_on(log, 0, 3) == ("end", 103), "what was not read in time is left out"


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("", None),
        ("no stage here: xhifv_importdata hifv_importdatax", None),
        ("Executing command ... hifv_importdata(vis=['x'])", "hifv_importdata"),
        ("hifv_importdata\nEquivalent CASA call: hifv_checkflag_two()", "hifv_checkflag_two"),
        ("'hifv_exportdata' then hifv_checkflag.", "hifv_checkflag"),
        ("hifv_checkflag() reads EB.ms.hifv_importdata.s1_2.tbl and hifv_importdata.tbl", "hifv_checkflag"),
        ("hifv_checkflag: gaintable=x.ms.hifv_importdata.s1.tbl", "hifv_checkflag"),
    ],
)
def test_the_stage_is_the_command_that_is_mentioned_last(text, stage):
    assert stage_in_log(text, COMMANDS) == stage


def test_a_ppr_without_commands_has_no_stage():
    assert stage_in_log("anything", ()) is None


def test_a_stage_is_shown_with_its_place():
    assert describe_stage("hifv_importdata", COMMANDS) == "hifv_importdata (stage 1 of 5)"
    assert describe_stage("hifv_checkflag", COMMANDS) == "hifv_checkflag (stage 2 or 4 of 5)"
    assert describe_stage(None, COMMANDS) == "before the first stage"
