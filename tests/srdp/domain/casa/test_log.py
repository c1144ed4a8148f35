from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.real_run import LOG, LOG_OF_A_FAILED_VLA_STAGE, VLA_STAGES, log_of_a_failed_stage, log_until

from srdp.domain.casa.log import (
    RunningStage,
    StageFollower,
    describe_stage,
    end_of_log,
    find_casa_log,
    pipeline_error,
    printable_lines,
    read_on,
    running_stage,
    tail_of_log,
)
from srdp.domain.runs.pipeline_run import RunDirectory


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


def _a_link_to_secrets(place):
    place.symlink_to("../secrets")


@pytest.mark.parametrize(
    ("made", "said"), [(_a_link_to_secrets, "is a symbolic link"), (os.mkfifo, "is a named pipe"), (Path.mkdir, "is a")]
)
def test_what_is_no_log_is_reported_in_its_place_and_is_not_read(directory, made, said):
    (directory.root / "secrets").write_text("Starting execution for stage 3\npassword")
    made(directory.working / "casa.log")
    end = end_of_log(directory, 20)
    (line,) = end.tail
    assert said in line
    assert "CASA's log" in line
    assert (end.log, end.stage, end.error) == (directory.working / "casa.log", None, ())
    (directory.working / "casa-20261122-182453.log").write_text("the real one\n")
    os.utime(directory.working / "casa-20261122-182453.log", (1000, 1000))
    assert end_of_log(directory, 20).tail == ("the real one",)


def test_a_log_behind_a_linked_folder_is_not_read(directory):
    (directory.working / "casa.log").write_text("password")
    directory.working.rename(directory.root / "elsewhere")
    directory.working.symlink_to("elsewhere")
    (line,) = end_of_log(directory, 20).tail
    assert "working' is a symbolic link" in line


def test_the_tail_reads_the_end_of_a_large_log_only(tmp_path):
    log = tmp_path / "casa.log"
    with log.open("wb") as stream:
        stream.truncate(10_000_000_000)  # sparse
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nlast but one\nlast\n")
    assert tail_of_log(tmp_path, log, 2) == ("last but one", "last")
    assert tail_of_log(tmp_path, tmp_path / "none.log", 2) == ()


def test_what_is_shown_of_a_log_is_harmless():
    lines = printable_lines("a\tb\x1b[31mred\x00\n\n  \nx" + "y" * 10_000)
    assert lines[0] == "a   b?[31mred?"
    assert len(lines) == 2
    assert len(lines[1]) < 500


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_reading_on_loses_and_repeats_nothing(tmp_path_factory, first, second):
    log = tmp_path_factory.mktemp("log") / "casa.log"
    log.write_bytes(first)
    one, offset = read_on(log.parent, log, None)
    with log.open("ab") as stream:
        stream.write(second)
    two, end = read_on(log.parent, log, offset)
    assert one == first.decode("utf-8", "replace")
    assert two == second.decode("utf-8", "replace")
    assert end == len(first + second)
    assert read_on(log.parent, log, end) == ("", end)


def test_a_log_that_was_begun_again_is_read_again(tmp_path):
    log = tmp_path / "casa.log"
    log.write_text("short")
    assert read_on(log.parent, log, 1000) == ("short", 5)


def test_the_first_reading_begins_near_the_end(tmp_path):
    log = tmp_path / "casa.log"
    log.write_bytes(b"x" * 100 + b"end")
    assert read_on(log.parent, log, None, 3) == ("end", 103)
    assert read_on(log.parent, log, 0, 3) == ("end", 103), "what was not read in time is left out"


def stage_of(place: Path, text: str) -> str:
    place.write_text(text)
    return describe_stage(running_stage(place.parent, place), VLA_STAGES)


@pytest.mark.parametrize(
    ("log", "stage"),
    [
        ("", "before the first stage"),
        (log_until("('hifv_fluxboot', {}), ('hif"), "before the first stage"),
        (log_until("Executing command ...hifv_importdata"), "hifv_importdata"),
        (log_until("Starting execution for stage 4"), "hifv_priorcals (stage 4 of 18)"),
        (log_until("checkflagmode='bpd-vla')"), "hifv_checkflag (stage 6 of 18, its 1st of 3 occurrences)"),
        (log_until("Executing command ...hifv_semiFinalBPdcals"), "hifv_semiFinalBPdcals (stage 7 of 18)"),
        (log_of_a_failed_stage(), "hifv_checkflag (stage 8 of 18, its 2nd of 3 occurrences)"),
        # The log of this stage lacks its "Executing command".
        (log_until("checkflagmode='target-vla')"), "hifv_checkflag (stage 13 of 18, its 3rd of 3 occurrences)"),
        (LOG.read_text(), "hifv_exportdata (stage 18 of 18)"),
        # The end of a log in which the stage began before.
        (LOG_OF_A_FAILED_VLA_STAGE.read_text(), "before the first stage"),
        # A word of the log that is no line of the pipeline's.
        (
            LOG.read_text() + "x\tINFO\ty::::casa\t'Starting execution for stage 3'\n",
            "hifv_exportdata (stage 18 of 18)",
        ),
        # Not whole yet: it may become 12.
        (log_until("Starting execution for stage 1")[:-1], "hifv_importdata"),
    ],
)
def test_stage_is_the_running_one_not_a_mentioned_one(tmp_path, log, stage):
    assert stage_of(tmp_path / "casa.log", log) == stage


def test_a_stage_that_logs_a_lot_is_found_all_the_same(tmp_path):
    line = "2026-11-29 10:59:50\tINFO\ttclean::::casa\tan iteration of many\n"
    assert stage_of(tmp_path / "casa.log", log_until("hif_makeimages(hm_masking='centralregion')") + line * 40_000) == (
        "hif_makeimages (stage 17 of 18)"
    )


@given(st.lists(st.integers(min_value=1, max_value=9_700), max_size=8))
def test_log_read_in_pieces_gives_the_same_stage(tmp_path_factory, cuts):
    text = LOG.read_text()
    places = [0, *sorted(cuts), len(text)]
    follower = StageFollower()
    for begin, end in pairwise(places):
        follower.feed(text[begin:end])
    assert describe_stage(follower.stage, VLA_STAGES) == "hifv_exportdata (stage 18 of 18)"


def test_a_command_that_the_pipeline_leaves_out_has_no_number():
    commands = ("hifv_importdata", "hifv_hanning", "hifv_checkflag", "hifv_statwt", "hifv_checkflag")
    assert describe_stage(RunningStage("hifv_checkflag", 2), commands) == (
        "hifv_checkflag (stage 2, command 3 of 5 in the PPR, its 1st of 2 occurrences)"
    )
    assert describe_stage(RunningStage("hifv_checkflag", None), commands) == "hifv_checkflag"
    assert describe_stage(RunningStage("", 3), commands) == "name not known (stage 3)"
    assert describe_stage(RunningStage("hif_other", 3), ()) == "hif_other (stage 3)"


def test_pipeline_error_is_reported_in_full(tmp_path):
    (tmp_path / "casa.log").write_text(log_of_a_failed_stage())
    first, *_, last = pipeline_error(tmp_path, tmp_path / "casa.log")
    assert first == "Error executing pipeline task hifv_checkflag."
    assert last == "KeyError: 'spw'"


@pytest.mark.parametrize(
    "log",
    [
        LOG.read_text(),
        # A stage that stopped nothing: another began behind it.
        log_of_a_failed_stage() + "x\tINFO\tpipeline::::casa\tStarting execution for stage 9\n",
        "",
    ],
)
def test_severe_lines_of_a_good_run_are_no_error(tmp_path, log):
    (tmp_path / "casa.log").write_text(log)
    assert pipeline_error(tmp_path, tmp_path / "casa.log") == ()


def test_a_long_error_keeps_its_beginning_and_its_end(tmp_path):
    line = "x\tSEVERE\tpipeline::pipeline.infrastructure.basetask::casa{}\t{}\n"
    lines = [
        line.format("", "Error executing pipeline task hifv_statwt."),
        *(line.format("+", f"{n}") for n in range(99)),
    ]
    (tmp_path / "casa.log").write_text("".join(lines))
    said = pipeline_error(tmp_path, tmp_path / "casa.log")
    assert (said[0], said[1], said[-1], len(said)) == ("Error executing pipeline task hifv_statwt.", "...", "98", 32)
