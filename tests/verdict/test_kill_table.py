"""Every point at which a verdict may be killed, and what is there then, afterwards, and at the end.

Each row is a real process on real PostgreSQL and NGAS that dies by SIGKILL at its point. What must hold at every
moment holds; the failure is reported as it would be; the verdict is given again, by another DAG run in another process;
and then there is one tar, one weblog and one calibration, with the checksums that were recorded before, all in its one
place, and in the end cleaned up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.killing import Arm, after_statement, at_commit, at_file_operation, entering, leaving
from tests.verdict.family import CLEAN, FAIL, FIRST, PASS, AlmaImaging, Found, RunFamily, VlaCalibration, ended_well

from srdp.domain.common.errors import Refused
from srdp.domain.runs.states import RunState

pytestmark = pytest.mark.servers

AGAIN = "manual__again"
TAR, WEBLOG = "tar", "weblog"
FAMILIES = (VlaCalibration, AlmaImaging)
NOTHING: frozenset[str] = frozenset()
ONE, BOTH = frozenset({TAR}), frozenset({TAR, WEBLOG})


@dataclass(frozen=True)
class Point:
    """A row of the table.

    Attributes:
        name: where the process dies, in words.
        step: the step in which it dies.
        arm: makes it die there.
        found: what is to be found then.
        reported_by: who reports it: the DAG run's ``leaf``; the ``reconciler``, because the DAG run died, too; or
            ``nobody``, because Airflow tries the task again.
        across: whether directories go to another file system.
        only: the family that has this point; None if all have it.
        after_images: makes a process die there that sends this many images between tar and weblog.
    """

    name: str
    step: str
    arm: Arm
    found: Found
    reported_by: str = "leaf"
    across: bool = False
    only: str | None = None
    after_images: Callable[[int], Arm] | None = None

    @property
    def dag(self) -> str:
        """What the DAG does that the step belongs to."""
        return next(dag for dag, steps in VlaCalibration.dags.items() if self.step in steps)

    def armed(self, family: RunFamily) -> Arm:
        """What makes a process of a family die there."""
        return self.after_images(family.images) if self.after_images else self.arm

    def is_of(self, family: type[RunFamily]) -> bool:
        """Whether a family has this point."""
        return self.only in {None, family.name} and any(self.step in steps for steps in family.dags.values())


def waiting(in_ngas: frozenset[str] = NOTHING) -> Found:
    return Found(RunState.AWAITING_QA, in_ngas, in_archive=False)


def ingesting(in_ngas: frozenset[str] = NOTHING, *, in_archive: bool = False) -> Found:
    return Found(RunState.INGESTING, in_ngas, in_archive)


def kept(state: RunState) -> Found:
    return Found(state, BOTH, in_archive=True)


def thrown_away(state: RunState) -> Found:
    return Found(state, NOTHING, in_archive=False)


ARCHIVED, CLEANING, CLEANED = kept(RunState.ARCHIVED), kept(RunState.CLEANING), kept(RunState.CLEANED)
OPERATORS = "srdp.operators"
FILES = "srdp.hooks.ledger.archived_files:ArchivedFiles"
ARCHIVE = "srdp.hooks.archive:ArchiveHook"
NGAS = "srdp.domain.ngas.client:NgasClient"
REPLY = "http.client:HTTPConnection.getresponse"

CLAIM = [
    Point("before the claim's COMMIT", "claim_ingest", at_commit("ledger/ingest_insert", "before"), waiting()),
    Point(
        "the claim's COMMIT is sent", "claim_ingest", at_commit("ledger/ingest_insert", "sent"), ingesting(),
        reported_by="reconciler",
    ),
    Point(
        "claimed", "claim_ingest", leaving(f"{OPERATORS}.claim_ingest:ClaimIngestOperator.run_step"), ingesting(),
    ),
]  # fmt: skip
NOTES = [
    Point(
        "the notes are half written", "write_qa_notes",
        entering("srdp.domain.files.whole_file:os.fsync"), ingesting(), reported_by="nobody",
    ),
    Point(
        "before the notes' rename", "write_qa_notes", at_file_operation("os.rename", "*", "*qa_notes.html"),
        ingesting(),
    ),
    Point(
        "the notes stand there", "write_qa_notes", leaving("srdp.domain.casa.weblog:write_qa_notes"), ingesting(),
        reported_by="reconciler",
    ),
    Point(
        "the weblog is half packed", "write_qa_notes", leaving("srdp.domain.files.packing:_Counted.write"), ingesting(),
    ),
    Point(
        "before the weblog's rename", "write_qa_notes", at_file_operation("os.rename", "*", "*weblog.tgz"),
        ingesting(), reported_by="nobody",
    ),
    Point(
        "the weblog is packed", "write_qa_notes", leaving("srdp.domain.casa.weblog:pack_weblog"), ingesting(),
    ),
]  # fmt: skip
PACK = [
    Point(
        "the products are described", "pack_products",
        leaving("srdp.domain.archiving.product_changes:describe_products"), ingesting(),
    ),
    Point(
        "the tar is half packed", "pack_products",
        leaving("srdp.domain.files.packing:_Counted.write", nth=2), ingesting(),
    ),
    Point(
        "before the tar's rename", "pack_products", at_file_operation("os.rename", "*", "*.tar"), ingesting(),
        reported_by="nobody",
    ),
    Point("the tar is packed", "pack_products", leaving("srdp.domain.files.packing:pack"), ingesting()),
    Point(
        "one file is recorded", "pack_products", after_statement("ledger/ingest_file_insert"), ingesting(),
        reported_by="reconciler",
    ),
    Point(
        "the record's COMMIT is sent", "pack_products", at_commit("ledger/ingest_file_insert", "sent"), ingesting(),
    ),
    Point("recorded", "pack_products", leaving(f"{FILES}.record"), ingesting()),
]  # fmt: skip
UPLOAD = [
    Point("the ledger says that the tar is sent", "archive_products", leaving(f"{FILES}.mark_sent"), ingesting()),
    Point(
        "NGAS was asked for the tar", "archive_products", leaving(f"{NGAS}.query_files"), ingesting(),
        reported_by="reconciler",
    ),
    Point(
        "the tar's first block is sent", "archive_products",
        entering("srdp.domain.archiving.upload:_Body._read", nth=3), ingesting(),
    ),
    Point(
        "the tar's second block is sent", "archive_products",
        entering("srdp.domain.archiving.upload:_Body._read", nth=4), ingesting(), reported_by="nobody",
    ),
    Point("all of the tar is sent", "archive_products", entering(REPLY, nth=3), ingesting(ONE)),
    Point(
        "all of the tar is sent, and it is tried again", "archive_products", entering(REPLY, nth=3), ingesting(ONE),
        reported_by="nobody",
    ),
    Point(
        "before the tar's CHECKFILE", "archive_products", entering(f"{NGAS}.check_file"), ingesting(ONE),
        reported_by="reconciler",
    ),
    Point("during the tar's CHECKFILE", "archive_products", entering(REPLY, nth=5), ingesting(ONE)),
    Point("CHECKFILE found the tar good", "archive_products", leaving(f"{NGAS}.check_file"), ingesting(ONE)),
    Point(
        "before the tar's proof is recorded", "archive_products", leaving("srdp.domain.archiving.upload:archive"),
        ingesting(ONE), reported_by="nobody",
    ),
    Point("the tar is proved", "archive_products", leaving(f"{FILES}.mark_proved"), ingesting(ONE)),
    Point(
        "the weblog's first block is sent", "archive_products",
        entering("srdp.domain.archiving.upload:_Body._read", nth=8), ingesting(ONE), reported_by="reconciler",
        after_images=lambda images: entering("srdp.domain.archiving.upload:_Body._read", nth=8 + 2 * images),
    ),
    Point(
        "all of the weblog is sent", "archive_products", entering(REPLY, nth=8), ingesting(BOTH),
        after_images=lambda images: entering(REPLY, nth=8 + 5 * images),
    ),
    Point(
        "all are proved", "archive_products", leaving(f"{FILES}.mark_proved", nth=2), ingesting(BOTH),
        after_images=lambda images: leaving(f"{FILES}.mark_proved", nth=2 + images),
    ),
]  # fmt: skip
METADATA = [
    Point(
        "NGAS has proved all again", "write_archive_metadata", leaving("srdp.domain.ngas.proof:prove_all"),
        ingesting(BOTH),
    ),
    Point(
        "the ledger says that the archive is written", "write_archive_metadata",
        leaving("srdp.hooks.ledger.ingests:Ingests.record_metadata_begun"), ingesting(BOTH), reported_by="reconciler",
    ),
    *(
        Point(
            f"in the archive's transaction, after {statement} {number}", "write_archive_metadata",
            after_statement(f"archive/{statement}", nth=number), ingesting(BOTH), reported_by=reported_by,
            only={"image_insert": "alma", "set_calibration_status": "vla"}.get(statement),
        )
        for statement, number, reported_by in [
            ("lock_project", 1, "leaf"),
            ("file_insert", 1, "reconciler"),
            ("file_insert", 2, "leaf"),
            ("image_insert", 2, "leaf"),
            ("srdp_state_upsert", 1, "nobody"),
            ("set_calibration_status", 1, "leaf"),
        ]
    ),
    *(
        Point(
            f"the archive's COMMIT is sent, reported by the {reported_by}", "write_archive_metadata",
            at_commit("archive/file_insert", "sent"), ingesting(BOTH, in_archive=True), reported_by=reported_by,
        )
        for reported_by in ("leaf", "reconciler", "nobody")
    ),
    Point(
        "the archive has it, the ledger does not know", "write_archive_metadata",
        leaving(f"{ARCHIVE}.commit_result"), ingesting(BOTH, in_archive=True),
    ),
    Point(
        "the ledger knows that the archive has it", "write_archive_metadata", leaving(f"{FILES}.mark_committed"),
        ingesting(BOTH, in_archive=True), reported_by="reconciler",
    ),
]  # fmt: skip
FINISH = [
    Point(
        "the place in the cache is decided", "finish_ingest",
        leaving("srdp.hooks.ledger.retention:MeasurementSets.record"),
        ingesting(BOTH, in_archive=True), reported_by="nobody", only="vla",
    ),
    Point(
        "the mail is queued, nothing is committed", "finish_ingest", after_statement("ledger/outbox_queue_mail"),
        ingesting(BOTH, in_archive=True), reported_by="reconciler",
    ),
    Point(
        "the request is sealed, nothing is committed", "finish_ingest", after_statement("ledger/request_seal"),
        ingesting(BOTH, in_archive=True), reported_by="nobody",
    ),
    Point("the end's COMMIT is sent", "finish_ingest", at_commit("ledger/request_seal", "sent"), ARCHIVED),
    Point(
        "archived", "finish_ingest", leaving(f"{OPERATORS}.finish_ingest:FinishIngestOperator.run_step"), ARCHIVED,
        reported_by="nobody",
    ),
    Point(
        "the archive was asked to index the project", "reindex_project", leaving(f"{ARCHIVE}.request_reindex"),
        ARCHIVED,
    ),
]  # fmt: skip
KEEP = [
    Point(
        "before the cache has a folder", "keep_products", at_file_operation("os.mkdir", "*/vla-*"), ARCHIVED,
        only="vla",
    ),
    Point(
        "before the measurement set's rename", "keep_products", at_file_operation("os.rename", "*.ms"), ARCHIVED,
        only="vla",
    ),
    Point(
        "the measurement set is in the cache", "keep_products", leaving("srdp.domain.disk.delivery:move_directory"),
        ARCHIVED, reported_by="nobody", only="vla",
    ),
    Point(
        "the COMMIT that reports the cache is sent", "keep_products",
        at_commit("archive/cached_measurement_set_upsert", "sent"), ARCHIVED, only="vla",
    ),
    Point(
        "before the directory's rename", "keep_products",
        entering("srdp.domain.disk.delivery:move_run_directory"), ARCHIVED,
    ),
    Point(
        "the directory is in the processing area", "keep_products",
        leaving("srdp.domain.disk.delivery:move_run_directory"), ARCHIVED, reported_by="nobody",
    ),
    Point("before the tar in the spool goes", "keep_products", at_file_operation("os.remove", "*.tar"), ARCHIVED),
    *(
        Point(name, "keep_products", arm, ARCHIVED, reported_by=reported_by, across=True, only=only)
        for name, arm, reported_by, only in [
            ("the measurement set is half copied", leaving("srdp.domain.files.tree_copy:_copy_file"), "leaf", "vla"),
            ("before the copied one's rename", at_file_operation("os.rename", "*.ms.arriving"), "nobody", "vla"),
            ("it is in the cache and here", leaving("srdp.domain.disk.delivery:_Move._copy"), "leaf", "vla"),
            ("the copied one is half removed here", at_file_operation("os.remove", "table.dat"), "leaf", "vla"),
            ("the directory is half copied", leaving("srdp.domain.files.tree_copy:_copy_file", nth=7), "leaf", None),
            ("the directory is in both", leaving("srdp.domain.disk.delivery:_Move._copy", nth=2), "nobody", "vla"),
            ("the directory is in both", leaving("srdp.domain.disk.delivery:_Move._copy"), "nobody", "alma"),
            ("the directory is half removed here", at_file_operation("os.remove", "*weblog.tgz"), "leaf", None),
        ]
    ),
]  # fmt: skip
CLEANUP = [
    Point("proved", "clean_up", leaving("srdp.services.removal.archive_proof:prove_archived_run"), ARCHIVED),
    Point("before the COMMIT of cleaning", "clean_up", at_commit("ledger/run_set_state", "before"), ARCHIVED),
    Point("the COMMIT of cleaning is sent", "clean_up", at_commit("ledger/run_set_state", "sent"), CLEANING),
    Point("before the hidden rename", "clean_up", at_file_operation("os.rename", "*-20*", ".*-20*.removed"), CLEANING),
    Point("half deleted", "clean_up", at_file_operation("os.remove", "*weblog.tgz"), CLEANING),
    Point("all but the directory itself is deleted", "clean_up", at_file_operation("os.rmdir", ".*-20*"), CLEANING),
    Point("all is deleted", "clean_up", leaving("srdp.domain.disk.removal:remove_run_directories"), CLEANING),
    Point("the COMMIT of cleaned is sent", "clean_up", at_commit("ledger/run_set_state", "sent", nth=2), CLEANED),
]  # fmt: skip
FAILED = [
    Point("before the decision's COMMIT", "fail_qa", at_commit("ledger/run_set_state", "before"), waiting()),
    Point(
        "the decision's COMMIT is sent", "fail_qa", at_commit("ledger/run_set_state", "sent"),
        thrown_away(RunState.REJECTED),
    ),
    Point(
        "before the mark", "mark_do_not_calibrate", entering(f"{ARCHIVE}.set_calibration_status"),
        thrown_away(RunState.REJECTED),
    ),
    Point(
        "the archive has the mark, the ledger does not know", "mark_do_not_calibrate",
        leaving(f"{ARCHIVE}.set_calibration_status"), thrown_away(RunState.REJECTED),
    ),
    Point(
        "marked", "mark_do_not_calibrate",
        leaving(f"{OPERATORS}.fail_qa:MarkDoNotCalibrateOperator.run_step"), thrown_away(RunState.REJECTED),
    ),
    Point(
        "the COMMIT of its removal is sent", "remove_directories", at_commit("ledger/run_set_state", "sent"),
        thrown_away(RunState.CLEANING),
    ),
    Point(
        "what failed is half deleted", "remove_directories", at_file_operation("os.remove", "*weblog.tgz"),
        thrown_away(RunState.CLEANING),
    ),
    Point(
        "all of what failed is deleted", "remove_directories",
        leaving("srdp.domain.disk.removal:remove_run_directories"), thrown_away(RunState.CLEANING),
    ),
]  # fmt: skip
TABLE = [*CLAIM, *NOTES, *PACK, *UPLOAD, *METADATA, *FINISH, *KEEP, *CLEANUP, *FAILED]


@pytest.mark.parametrize(
    ("family", "point"),
    [
        pytest.param(family, point, id=f"{family.name}: {point.step}: {point.name}")
        for family in FAMILIES
        for point in TABLE
        if point.is_of(family)
    ],
    indirect=["family"],
)
def test_killed_at_a_point_and_made_again_all_of_it_is_there_once(family: RunFamily, point: Point) -> None:
    run = family.waiting_run()
    family.across = point.across
    if point.dag == CLEAN:
        ended_well(family.carry_out(PASS, run, dag_run_id=FIRST).end())
    died = family.carry_out(point.dag, run, dag_run_id=FIRST, arms={point.step: point.armed(family)}).end()
    assert (died.killed, died.error, died.said[-1]) == (True, "", point.step)
    family.settled()

    assert family.found(run) == point.found
    family.check_whatever_happened(run)
    recorded = family.recorded(run)
    {PASS: pass_again, CLEAN: clean_up, FAIL: fail_again}[point.dag](family, run, point)
    assert family.recorded(run) | recorded == family.recorded(run)


def pass_again(family: RunFamily, run, point: Point) -> None:
    if point.reported_by == "nobody":
        again = family.carry_out(point.dag, run, dag_run_id=FIRST, begin=point.step)
    else:
        family.tell(point.reported_by, run, point.step)
        family.check_whatever_happened(run)
        assert family.observatory.run(run).state is state_when_reported(point.found)
        # The notes of the first time are kept.
        known = family.observatory.ledger.ingests.in_force(run.pipeline_run_id) is not None
        again = family.carry_out(point.dag, run, dag_run_id=AGAIN, form={"qa_flag": "Pass"} if known else None)
    ended_well(again.end())
    family.check_archived(run)
    family.step("clean_up", run, dag_run_id=AGAIN)
    family.check_cleaned(run)


def state_when_reported(found: Found) -> RunState:
    if found.state is not RunState.INGESTING:
        return found.state
    return RunState.ARCHIVED if found.in_archive else RunState.INGEST_FAILED


def clean_up(family: RunFamily, run, point: Point) -> None:
    ended_well(family.carry_out(CLEAN, run, dag_run_id=AGAIN).end())
    family.check_cleaned(run)


def fail_again(family: RunFamily, run, point: Point) -> None:
    ended_well(family.carry_out(FAIL, run, dag_run_id=AGAIN).end())
    family.check_rejected(run)


@pytest.mark.parametrize(
    "arm",
    [at_commit("ledger/ingest_insert", "sent"), leaving("srdp.hooks.ledger.ingests:Ingests.claim")],
    ids=["the claim's COMMIT is sent", "claimed"],
)
def test_the_flag_template_of_a_killed_claim_is_kept_for_the_next_try(family: RunFamily, arm: Arm) -> None:
    run = family.waiting_run()
    template = f"mode='manual' antenna='{family.antenna}'\n"
    form = {"qa_flag": "Pass", "flag_template_text": template}
    died = family.carry_out(PASS, run, dag_run_id=FIRST, arms={"claim_ingest": arm}, form=form).end()
    assert (died.killed, died.said) == (True, ["claim_ingest"])
    family.settled()
    family.tell("leaf", run, "claim_ingest")
    # The run and the flag alone, as the mail says.
    ended_well(family.carry_out(PASS, run, dag_run_id=AGAIN, form={"qa_flag": "Pass"}).end())
    family.check_archived(run)
    members = family.observatory.tar_members(run)
    assert members[f"{family.template(run)}.not_used_by_this_run.txt"] == template.encode()


@pytest.mark.parametrize(
    ("step", "arm"),
    [
        pytest.param("claim_ingest", at_commit("ledger/ingest_set_verdict", "sent"), id="the change's COMMIT is sent"),
        pytest.param("write_archive_metadata", entering(f"{ARCHIVE}.change_qa"), id="before the archive is updated"),
        pytest.param("write_archive_metadata", leaving(f"{ARCHIVE}.change_qa"), id="the archive has it"),
        pytest.param(
            "write_archive_metadata",
            leaving("srdp.hooks.ledger.outbox:Outbox.queue_follow_up"),
            id="the mail is queued",
        ),
    ],
)
def test_a_change_of_the_flag_that_was_killed_keeps_the_run_until_the_archive_has_it(
    family: RunFamily, step: str, arm: Arm
) -> None:
    run = family.waiting_run()
    ended_well(family.carry_out(PASS, run, dag_run_id=FIRST, form={"qa_flag": "Null"}).end())
    change = {"qa_flag": "Pass"}
    died = family.carry_out(PASS, run, dag_run_id="manual__change", form=change, arms={step: arm}).end()
    assert (died.killed, died.error, died.said[-1]) == (True, "", step)
    family.settled()
    with pytest.raises(Refused, match="is not removed now: its QA flag was changed to Pass"):
        family.step("clean_up", run, dag_run_id=AGAIN)
    assert family.observatory.run(run).state is RunState.ARCHIVED
    family.check_whatever_happened(run)
    ended_well(family.carry_out(PASS, run, dag_run_id=AGAIN, form=change).end())
    flags = family.observatory.rows("SELECT qa_flag FROM srdp_state WHERE pipeline_run_id = %s", run.pipeline_run_id)
    assert flags == [{"qa_flag": "Pass"}]
    assert family.observatory.mail_keys(run).count("qa_flag_changed_1") == 1
    family.step("clean_up", run, dag_run_id=AGAIN)
    family.check_cleaned(run)
