"""The removal of what has expired, on a real ledger, archive, NGAS and file system."""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from unittest import mock

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.areas import prepare
from tests.killing import killed_at_each_file_operation
from tests.replacing import replace_everywhere

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable
from srdp.domain.disk import removal
from srdp.domain.retention.brake import ClocksDiffer
from srdp.domain.retention.expiry import Expiring
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import make_marked
from srdp.domain.runs.states import RunState
from srdp.families import VLA, families
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.removals import Removals
from srdp.operators.expire import ExpireOperator
from srdp.operators.fail_qa import MarkDoNotCalibrateOperator
from srdp.services.context import SiteContext
from srdp.services.removal import expire as module
from srdp.services.removal import remove_run
from srdp.services.removal.archive_proof import NOT_IN_ARCHIVE
from srdp.services.removal.expire import NotRemoved

pytestmark = pytest.mark.servers

RETENTION = {
    "archived": 10, "failed": 20, "cancelled": 30, "superseded": 40, "rejected": 5, "calibrated_measurement_sets": 21,
    "alma_archived": 10, "alma_failed": 20, "alma_cancelled": 30, "alma_superseded": 40, "alma_rejected": 5,
}  # fmt: skip
LIVE = [
    RunState.CREATED, RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA, RunState.INGESTING,
    RunState.INGEST_FAILED,
]  # fmt: skip
PPR = b"<SciPipeRequest/>"


class Killed(BaseException):
    """As if the process were killed there."""


class Expiry:
    """What has expired, and the task that removes it.

    Attributes:
        pushed: the XComs that the task pushed by itself.
    """

    def __init__(self, observatory, ledger_url):
        self.observatory = observatory
        self.ledger = Ledger(observatory.settings, retry_seconds=20)
        self.pushed = {}
        self._url = ledger_url

    def step(self, **changes):
        """Run the task; what goes wrong is raised as the library raised it."""
        return self.operator(changes).run_step(self.context(**changes))

    def operator(self, changes):
        names = {"only_report": "False", "number": ""}
        return ExpireOperator(task_id="expire", **{name: changes.pop(name, value) for name, value in names.items()})

    def context(self, *, run_type="scheduled", dag_run_id="scheduled__1"):
        dag_run = SimpleNamespace(
            dag_id="expire_processing_area", run_id=dag_run_id, run_type=run_type, triggering_user_name=None
        )
        push = lambda key, value: self.pushed.update({key: value})  # noqa: E731
        facts = {"dag_id": dag_run.dag_id, "run_id": dag_run_id, "task_id": "expire", "xcom_push": push}
        ti = SimpleNamespace(**facts, try_number=1)
        return {"ti": ti, "dag_run": dag_run}

    def sql(self, statement, *parameters):
        with psycopg.connect(self._url) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def run_in(self, state, days, area="processing_area", **changes):
        """A run that has been in a state for some days, with its directory in an area of its family."""
        run = self.observatory.open_run(**changes)
        self.put(run, state, days)
        areas = self.observatory.settings.areas.of_run(run.pipeline_run_id)
        directory = RunDirectory(areas[area == "qa_area"] / run.pipeline_run_id)
        make_marked(directory.root, run.marker)
        directory.working.mkdir()
        (directory.working / "casa.log").write_bytes(b"x" * 1000)
        if state is RunState.REJECTED:
            self.ledger.marks.record_marked(run.pipeline_run_id)
        return self.ledger.runs.get(run.pipeline_run_id)

    def put(self, run, state, days):
        self.sql(
            "UPDATE pipeline_run SET state = %s, state_since = now() - %s * interval '1 day' "
            "WHERE pipeline_run_id = %s",
            str(state), days, run.pipeline_run_id,
        )  # fmt: skip

    def archived_run(self, days):
        """A run that is in the archive for some days, with its measurement set in the cache."""
        run = self.observatory.waiting_run()
        directory = self.observatory.directory(run)
        directory.processing_request.write_bytes(PPR)
        self.sql(
            "UPDATE pipeline_run SET ppr_sha256 = encode(sha256(%s), 'hex') WHERE pipeline_run_id = %s",
            PPR, run.pipeline_run_id,
        )  # fmt: skip
        self.observatory.ingest(run)
        self.put(run, RunState.ARCHIVED, days)
        return self.ledger.runs.get(run.pipeline_run_id)

    def expire_cached(self, run, days=1):
        self.sql(
            "UPDATE cached_measurement_set SET cached_at = now() - interval '50 days', "
            "expires_at = now() - %s * interval '1 day', removed_at = NULL WHERE pipeline_run_id = %s",
            days, run.pipeline_run_id,
        )  # fmt: skip

    def state(self, run):
        return self.ledger.runs.get(run.pipeline_run_id).state

    def there(self, run):
        areas = self.observatory.settings.areas.of_run(run.pipeline_run_id)
        return [area for area in areas if (area / run.pipeline_run_id).exists()]

    def events(self, run, name):
        return [event.details for event in self.ledger.events.of_run(run.pipeline_run_id) if event.event == name]

    def mails(self):
        return self.sql("SELECT subject, body_text, recipients FROM outbox WHERE pipeline_run_id IS NULL")

    def names(self, found):
        return [one["pipeline_run_id"] for one in found["first"]]

    def everything(self):
        """All that the ledger holds and all that is in the areas."""
        tables = [
            name for (name,) in self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ]
        rows = {table: sorted(map(repr, self.sql(f"SELECT * FROM {table}"))) for table in tables}  # noqa: S608
        return rows, sorted(map(str, self.observatory.settings.processing_area.parent.rglob("*")))


@pytest.fixture
def retention(tmp_path):
    path = tmp_path / "retention.txt"
    path.write_text("".join(f"{kind} {days} days\n" for kind, days in RETENTION.items()))
    return path


@pytest.fixture
def expiry(observatory, ledger_url, retention, request, tmp_path):
    """Run of the VLA, or of the family that is the test's parameter; those of ALMA are in areas of their own."""
    observatory.change(retention_file=retention)
    observatory.kind = getattr(request, "param", VLA).kind
    areas = {name: tmp_path / name for name in ("alma_processing_area", "alma_qa_area")}
    observatory.change(**areas)
    prepare(observatory.settings)
    return Expiry(observatory, ledger_url)


of_each_family = pytest.mark.parametrize("expiry", families(), indirect=True, ids=lambda family: family.name)


# Runs


@of_each_family
@pytest.mark.parametrize("area", ["processing_area", "qa_area"])
def test_what_was_discarded_goes_at_its_age_and_not_before(expiry, area):
    ages = {
        RunState.FAILED: 20,
        RunState.CANCELLED: 30,
        RunState.SUPERSEDED: 40,
        RunState.REJECTED: 5,
        RunState.CLEANING: 5,
    }
    young = {state: expiry.run_in(state, days - 0.01, area) for state, days in ages.items()}
    old = [expiry.run_in(state, days + 0.01, area) for state, days in ages.items()]
    result = expiry.step()
    assert sorted(expiry.names(result["removed"])) == sorted(run.pipeline_run_id for run in old)
    assert [one["bytes"] for one in result["removed"]["first"]] == [1000] * 5
    assert result["bytes_removed"] == 5000
    for run in old:
        assert (expiry.state(run), expiry.there(run)) == (RunState.CLEANED, [])
        (reported,) = expiry.events(run, "expiring")
        assert (reported["dag_run_id"], reported["size_bytes"]) == ("scheduled__1", 1000)
    for state, run in young.items():
        assert expiry.state(run) is state
        assert expiry.there(run)
    # They go within the week, which is reported.
    assert sorted(expiry.names(result["coming"])) == sorted(run.pipeline_run_id for run in young.values())


@of_each_family
def test_a_run_that_failed_qa_stays_until_the_archive_was_reported(expiry):
    run = expiry.observatory.waiting_run()
    expiry.ledger.verdicts.reject([run.pipeline_run_id], reason="Bad.", by="an analyst")
    expiry.put(run, RunState.REJECTED, 5.01)
    result = expiry.step()
    if run.kind != VLA.kind:
        # Images change nothing in the archive.
        assert expiry.names(result["removed"]) == [run.pipeline_run_id]
        return
    (kept,) = result["kept"]["first"]
    assert f"{run.subject} is not marked Do Not Calibrate in the archive" in kept["why"]
    assert "trigger vla_qa_fail with the run again" in kept["why"]
    assert (expiry.state(run), len(expiry.there(run))) == (RunState.REJECTED, 1)
    MarkDoNotCalibrateOperator(task_id="mark", pipeline_run_ids=run.pipeline_run_id).run_step(expiry.context())
    assert expiry.names(expiry.step(dag_run_id="scheduled__2")["removed"]) == [run.pipeline_run_id]


@of_each_family
def test_an_archived_run_stays_until_the_archive_has_its_changed_verdict(expiry):
    run = expiry.archived_run(10.01)
    change = {"qa_flag": "Null"}
    expiry.observatory.step("claim_ingest", run, dag_run_id="manual__change", **change)
    for only_report in ("True", "False"):
        result = expiry.step(only_report=only_report)
        (kept,) = result["kept"]["first"]
        assert "its QA flag was changed to Null, which the archive does not have yet" in kept["why"]
        assert (result["removed"]["number"], result["failed"]["number"]) == (0, 0)
        assert (expiry.state(run), len(expiry.there(run))) == (RunState.ARCHIVED, 1)
    expiry.observatory.ingest(run, dag_run_id="manual__again", **change)
    assert expiry.names(expiry.step(dag_run_id="scheduled__2")["removed"]) == [run.pipeline_run_id]


@of_each_family
def test_what_is_worked_on_or_waits_for_a_verdict_is_never_touched(expiry):
    runs = {state: expiry.run_in(state, 5000, "qa_area") for state in LIVE}
    result = expiry.step()
    for state, run in runs.items():
        assert (expiry.state(run), len(expiry.there(run))) == (state, 1)
    assert [result[sort]["number"] for sort in ("removed", "failed", "kept", "coming")] == [0, 0, 0, 0]
    assert result["unknown_entries"] == []


def test_a_run_of_a_kind_that_nobody_has_thought_of_stays(expiry):
    run = expiry.run_in(RunState.FAILED, 5000)
    expiry.sql("UPDATE request SET kind = 'vla_imaging'")
    assert expiry.step()["removed"]["number"] == 0
    assert expiry.there(run)


@of_each_family
def test_an_archived_run_goes_when_the_archive_has_it(expiry):
    run = expiry.archived_run(10.01)
    assert expiry.names(expiry.step()["removed"]) == [run.pipeline_run_id]
    assert (expiry.state(run), expiry.there(run)) == (RunState.CLEANED, [])
    # What is kept for users has a time of its own.
    assert expiry.observatory.cached(run).is_dir() is (run.kind == VLA.kind)


@of_each_family
def test_an_archived_run_that_the_archive_does_not_prove_stays_and_holds_up_nothing(expiry):
    run, failed = expiry.archived_run(11), expiry.run_in(RunState.FAILED, 20.5)
    (row, *_) = expiry.observatory.ngas.store.like(f"{run.pipeline_run_id}%")
    stored = expiry.observatory.ngas.store.path(row)
    stored.chmod(0o644)
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(AirflowFailException, match=NOT_IN_ARCHIVE):
        expiry.operator({}).execute(expiry.context())
    assert (expiry.state(run), len(expiry.there(run))) == (RunState.ARCHIVED, 1)
    assert expiry.state(failed) is RunState.CLEANED
    result = expiry.pushed["return_value"]
    assert result["failed"]["first"][0]["why"] == NOT_IN_ARCHIVE
    assert expiry.names(result["removed"]) == [failed.pipeline_run_id]
    assert expiry.events(run, "expiry_failed")[0]["why"] == NOT_IN_ARCHIVE
    ((subject, text, _),) = expiry.mails()
    assert subject == "[SRDP] EXPIRY: 1 could not be removed"
    assert NOT_IN_ARCHIVE in text
    # In a dry run too.
    with pytest.raises(NotRemoved, match="not in the archive"):
        expiry.step(only_report="True")
    stored.write_bytes(whole)
    assert expiry.names(expiry.step(dag_run_id="scheduled__2")["removed"]) == [run.pipeline_run_id]


def test_a_run_with_a_damaged_copy_beside_a_good_one_stays_until_a_setting_lets_it_go(expiry):
    run = expiry.archived_run(11)
    store = expiry.observatory.ngas.store
    (row, *_) = store.like(f"{run.pipeline_run_id}%")
    store.path(store.copy(row, store.path(row), store.volumes[1])).write_bytes(b"!")
    for dry_run in ("True", "False"):
        with pytest.raises(NotRemoved, match="damaged copy beside a good one"):
            expiry.step(only_report=dry_run)
        # A dry run records and sends nothing.
        assert len(expiry.events(run, "ngas_copy_damaged")) == (dry_run == "False")
    assert expiry.there(run)
    expiry.observatory.change(one_good_copy_is_enough=True)
    assert expiry.names(expiry.step(dag_run_id="scheduled__2")["removed"]) == [run.pipeline_run_id]


def test_a_run_that_was_archived_without_ngas_is_kept_and_is_no_failure(expiry):
    expiry.observatory.change(ngas_ingest=False)
    run = expiry.archived_run(11)
    for dry_run in ("True", "False"):
        result = expiry.step(only_report=dry_run)
        assert result["failed"]["number"] == 0
        assert "trigger vla_qa_pass with the run again" in result["kept"]["first"][0]["why"]
    assert expiry.there(run)
    expiry.observatory.change(ngas_ingest=True)
    expiry.observatory.ingest(run, dag_run_id="manual__again", qa_flag="Pass")
    expiry.put(run, RunState.ARCHIVED, 11)
    assert run.pipeline_run_id in expiry.names(expiry.step()["removed"])


def test_a_run_whose_state_has_changed_since_it_was_listed_is_left_alone(expiry, monkeypatch):
    run = expiry.run_in(RunState.FAILED, 50)
    freed_by = module.Space.freed_by

    def meanwhile(space, directories):
        expiry.put(run, RunState.AWAITING_QA, 0)
        return freed_by(space, directories)

    monkeypatch.setattr(module.Space, "freed_by", meanwhile)
    result = expiry.step()
    assert (result["removed"]["number"], result["failed"]["number"]) == (0, 0)
    assert (expiry.state(run), len(expiry.there(run))) == (RunState.AWAITING_QA, 1)
    assert expiry.events(run, "expiring") == []


def test_a_run_that_came_into_its_state_again_has_all_its_days(expiry, monkeypatch):
    run = expiry.run_in(RunState.FAILED, 50)
    freed_by = module.Space.freed_by

    def meanwhile(space, directories):
        expiry.put(run, RunState.SUPERSEDED, 0)
        return freed_by(space, directories)

    monkeypatch.setattr(module.Space, "freed_by", meanwhile)
    assert expiry.step()["removed"]["number"] == 0
    assert expiry.there(run)


def test_the_transition_decides_in_the_last_moment(expiry, monkeypatch):
    run = expiry.run_in(RunState.FAILED, 50)
    record_expiring = Removals.record_expiring

    def meanwhile(ledger, thing, dag_run_id):
        record_expiring(ledger, thing, dag_run_id)
        expiry.put(run, RunState.AWAITING_QA, 0)

    monkeypatch.setattr(Removals, "record_expiring", meanwhile)
    with pytest.raises(NotRemoved, match="awaiting_qa"):
        expiry.step()
    assert (expiry.state(run), len(expiry.there(run))) == (RunState.AWAITING_QA, 1)


@of_each_family
def test_a_run_whose_raw_data_a_rerun_takes_is_kept_for_now(expiry):
    run = expiry.run_in(RunState.FAILED, 50)
    rerun = expiry.run_in(RunState.CREATED, 0, subject=run.subject)
    expiry.sql(
        "UPDATE pipeline_run SET former_run = %s WHERE pipeline_run_id = %s", run.pipeline_run_id, rerun.pipeline_run_id
    )
    for state, dry_run in ((RunState.CREATED, "True"), (RunState.CREATED, "False"), (RunState.FETCHING, "False")):
        expiry.put(rerun, state, 0)
        result = expiry.step(only_report=dry_run)
        assert rerun.pipeline_run_id in result["kept"]["first"][0]["why"]
        assert expiry.there(run)
    expiry.put(rerun, RunState.PROCESSING, 0)
    assert expiry.names(expiry.step()["removed"]) == [run.pipeline_run_id]


def test_a_link_in_a_runs_place_is_reported_and_not_followed(expiry, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").touch()
    bad, good = expiry.run_in(RunState.FAILED, 50), expiry.run_in(RunState.FAILED, 40)
    (directory,) = expiry.there(bad)
    shutil.rmtree(directory / bad.pipeline_run_id)
    (directory / bad.pipeline_run_id).symlink_to(precious)
    with pytest.raises(NotRemoved, match="symbolic link"):
        expiry.step()
    assert (precious / "data").exists()
    assert expiry.state(bad) is RunState.FAILED
    assert expiry.state(good) is RunState.CLEANED


def test_a_hard_linked_file_counts_with_the_last_run_that_goes(expiry):
    first, second = expiry.run_in(RunState.FAILED, 50), expiry.run_in(RunState.FAILED, 40)
    later = expiry.run_in(RunState.FAILED, 15)
    area = expiry.observatory.settings.processing_area
    (area / first.pipeline_run_id / "raw").write_bytes(b"r" * 5000)
    (area / later.pipeline_run_id / "own").write_bytes(b"r" * 300)
    os.link(area / first.pipeline_run_id / "raw", area / second.pipeline_run_id / "raw")
    os.link(area / later.pipeline_run_id / "own", area / second.pipeline_run_id / "later's")
    for dry_run in ("True", "False"):
        result = expiry.step(only_report=dry_run)
        assert [one["bytes"] for one in result["removed"]["first"]] == [1000, 6000]
        assert [one["bytes"] for one in result["coming"]["first"]] == [1300]
        assert (result["bytes_removed"], result["bytes_coming"]) == (7000, 1300)


# What analysts wrote for themselves


@pytest.mark.parametrize("only_report", ["False", "True"])
def test_an_analysts_own_files_are_named_in_one_days_report_and_go_with_the_next(expiry, only_report, monkeypatch):
    run = expiry.run_in(RunState.PROCESSING, 0)
    expiry.ledger.runs.transition(run.pipeline_run_id, RunState.FAILED, event="failed")
    expiry.put(run, RunState.FAILED, 25)
    script = expiry.observatory.directory(run).working / "selfcal.py"
    script.touch()
    later = time.time() + 3600
    os.utime(script, (later, later))
    first = expiry.step(run_type="manual", dag_run_id="manual__1", only_report=only_report)
    assert (expiry.names(first["kept"]), first["removed"]["number"]) == ([run.pipeline_run_id], 0)
    assert "somebody's own files are in it, 'working/selfcal.py'" in first["kept"]["first"][0]["why"]
    assert script.exists()
    if only_report == "True":
        assert (expiry.events(run, "own_files_named"), expiry.mails()) == ([], [])
        return
    ((_, text, _),) = expiry.mails()
    assert "'working/selfcal.py'" in text
    monkeypatch.setattr(remove_run, "_NAMED_BEFORE", timedelta())  # a day passes
    second = expiry.step(dag_run_id="scheduled__2")
    assert (second["kept"]["number"], expiry.names(second["removed"])) == (0, [run.pipeline_run_id])
    assert expiry.there(run) == []


# Killed


def test_a_task_that_is_killed_in_a_removal_finishes_it_when_it_runs_again_and_reports_all(expiry, monkeypatch):
    runs = [expiry.run_in(RunState.FAILED, days) for days in (60, 50, 40)]
    remove, removed = removal.remove_run_directories, []

    def killed_at_the_second(areas, run_id):
        removed.append(run_id)
        if len(removed) == 2:
            raise Killed
        return remove(areas, run_id)

    replace_everywhere(monkeypatch, "srdp.domain.disk.removal:remove_run_directories", killed_at_the_second)
    with pytest.raises(Killed):
        expiry.step()
    assert [expiry.state(run) for run in runs] == [RunState.CLEANED, RunState.CLEANING, RunState.FAILED]
    assert expiry.mails() == []
    result = expiry.step()
    assert expiry.names(result["removed"]) == [run.pipeline_run_id for run in runs]
    assert result["bytes_removed"] == 3000
    assert [expiry.state(run) for run in runs] == [RunState.CLEANED] * 3
    assert len(expiry.mails()) == 1
    # Another DAG run tells only of its own.
    assert expiry.step(dag_run_id="scheduled__2")["removed"]["number"] == 0


# Measurement sets


def test_a_measurement_set_goes_on_its_day_from_disk_archive_and_ledger(expiry):
    old, young = expiry.archived_run(1), expiry.archived_run(1)
    expiry.expire_cached(old)
    result = expiry.step()
    assert expiry.names(result["removed"]) == [old.pipeline_run_id]
    # table.dat and table.f0
    assert result["bytes_removed"] == 256 + 8
    cache = expiry.observatory.settings.measurement_set_cache
    assert [path.name for path in cache.iterdir()] == [young.pipeline_run_id]
    assert [row["path"] for row in expiry.observatory.rows("SELECT path FROM cached_measurement_set")] == [
        str(expiry.observatory.cached(young))
    ]
    assert [one.pipeline_run_id for one in expiry.ledger.measurement_sets.kept()] == [young.pipeline_run_id]
    assert expiry.state(old) is RunState.ARCHIVED
    assert expiry.there(old)
    # Its time was fixed when it was cached: what the text file says now is for those that come later.
    expiry.observatory.settings.retention.write_text("calibrated_measurement_sets 0 days")
    assert expiry.step(dag_run_id="scheduled__2")["removed"]["number"] == 0


def test_killed_at_any_file_operation_a_measurement_set_is_removed_by_the_next_call(expiry):
    run = expiry.archived_run(1)
    cached = expiry.observatory.cached(run)
    cache = expiry.observatory.settings.measurement_set_cache
    copy = cache.parent / "copy"
    shutil.copytree(cached.parent, copy)
    (archived,) = expiry.observatory.rows("SELECT * FROM cached_measurement_set")

    def act():
        settings = expiry.observatory.settings
        work = module._Expiry(SiteContext(settings, expiry.ledger), expiry.ledger, "scheduled__1", dry_run=False)
        for one in expiry.ledger.measurement_sets.kept():
            work._remove_measurement_set(module.expiring_measurement_set(one))

    def prepare():
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(copy, cached.parent)
        expiry.expire_cached(run)
        with psycopg.connect(expiry.observatory.archive_url) as archive:
            archive.execute("DELETE FROM cached_measurement_set")
            archive.execute(
                "INSERT INTO cached_measurement_set (calibration_locator, path, expires_at) VALUES (%s, %s, %s)",
                (archived["calibration_locator"], archived["path"], archived["expires_at"]),
            )

    kills, seen = 0, set()
    for kills in killed_at_each_file_operation(prepare, act):  # noqa: B007
        named = bool(expiry.observatory.rows("SELECT * FROM cached_measurement_set"))
        kept = bool(expiry.ledger.measurement_sets.kept())
        whole = (cached / "table.dat").exists() and (cached / "ANTENNA" / "table.f0").exists()
        rest = any(cache.iterdir())
        assert whole or not named, "the archive names what is gone"
        assert kept or not rest, "the ledger has forgotten what still is there"
        # Never half of it under its own name.
        assert whole or not cached.exists()
        seen.add((named, whole, rest))
        act()
        assert list(cache.iterdir()) == []
        assert expiry.ledger.measurement_sets.kept() == []
        assert expiry.observatory.rows("SELECT * FROM cached_measurement_set") == []
    # Killed before anything, before the rename, and in the midst of the deletion.
    assert seen >= {(True, True, True), (False, True, True), (False, False, True)}
    assert kills >= 10
    assert len(expiry.events(run, "cached_measurement_set_expiring")) == 1


def test_a_measurement_set_stays_as_long_as_the_archive_cannot_be_reported(expiry, monkeypatch):
    run = expiry.archived_run(1)
    expiry.expire_cached(run)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", '{"conn_type": "postgres", "host": "127.0.0.1", "port": 1}')
    with pytest.raises(NotRemoved, match="archive's database"):
        expiry.step()
    assert expiry.observatory.cached(run).is_dir()
    assert len(expiry.ledger.measurement_sets.kept()) == 1


def test_a_path_that_is_not_the_runs_in_the_cache_is_refused(expiry):
    run = expiry.archived_run(1)
    expiry.expire_cached(run)
    cache = expiry.observatory.settings.measurement_set_cache
    own = cache / run.pipeline_run_id
    for hostile in ("/etc", cache, own, f"{own}/../x.ms", cache / "other" / "x.ms"):
        expiry.sql("UPDATE cached_measurement_set SET path = %s", str(hostile))
        with pytest.raises(NotRemoved, match="is not in the cache"):
            expiry.step()
        assert expiry.observatory.cached(run).is_dir()
        assert len(expiry.ledger.measurement_sets.kept()) == 1
        assert len(expiry.observatory.rows("SELECT * FROM cached_measurement_set")) == 1


def test_a_link_in_the_cache_is_not_followed(expiry, tmp_path):
    run = expiry.archived_run(1)
    expiry.expire_cached(run)
    place = expiry.observatory.settings.measurement_set_cache / run.pipeline_run_id
    precious = tmp_path / "precious"
    place.rename(precious)
    place.symlink_to(precious)
    with pytest.raises(NotRemoved, match="symbolic link"):
        expiry.step()
    assert (precious / f"{run.subject}.ms" / "table.dat").exists()


# Dry run


def test_a_dry_run_reports_what_would_go_and_changes_nothing(expiry):
    archived, failed = expiry.archived_run(11), expiry.run_in(RunState.FAILED, 50)
    coming = expiry.run_in(RunState.FAILED, 15)
    expiry.expire_cached(archived)
    before = expiry.everything()
    result = expiry.step(only_report="True")
    assert expiry.everything() == before
    assert result["dry_run"] is True
    assert sorted(expiry.names(result["removed"])) == sorted(
        [failed.pipeline_run_id, archived.pipeline_run_id, archived.pipeline_run_id]
    )
    assert expiry.names(result["coming"]) == [coming.pipeline_run_id]
    real = expiry.step()
    assert {**real, "dry_run": True, "now": result["now"]} == result | {"bytes_removed": real["bytes_removed"]} | {
        "removed": real["removed"]
    }
    assert sorted(map(repr, real["removed"]["first"])) == sorted(map(repr, result["removed"]["first"]))


def test_who_does_not_say_clearly_whether_it_is_a_dry_run_removes_nothing(expiry):
    run = expiry.run_in(RunState.FAILED, 50)
    for said in ("", "None", "yes", "1", "{{ params.dry_run }}"):
        with pytest.raises(InvalidInput, match=r"(?i)dry run"):
            expiry.step(only_report=said)
    assert expiry.there(run)


# The brake


def held(expiry, runs, **changes):
    """What the task says when it asks; nothing is removed."""
    with pytest.raises(NotRemoved) as reported:
        expiry.step(**changes)
    assert all(expiry.there(run) and expiry.events(run, "expiring") == [] for run in runs)
    return str(reported.value), expiry.pushed["return_value"]


def test_more_than_a_number_goes_only_when_somebody_has_looked_at_the_list(expiry):
    expiry.observatory.change(expiry_most_runs=2)
    runs = [expiry.run_in(RunState.FAILED, days) for days in (25, 26, 27)]
    for dag_run_id, number in (("scheduled__1", ""), ("scheduled__2", ""), ("manual__1", "2")):
        said, result = held(expiry, runs, dag_run_id=dag_run_id, number=number)
        assert "3 would be removed at once, more than 2 (SRDP_EXPIRY_MOST_RUNS)" in said
        assert said.endswith("trigger this DAG with Number of removals 3.")
        assert sorted(expiry.names(result["held"])) == sorted(run.pipeline_run_id for run in runs)
    # The list is mailed once, to who may let it through.
    ((subject, text, recipients),) = expiry.mails()
    assert (subject, recipients) == ("[SRDP] EXPIRY: asks before it removes 3", ["manager@example.org"])
    assert all(run.pipeline_run_id in text for run in runs)
    assert expiry.step(dag_run_id="manual__2", number="3")["removed"]["number"] == 3
    assert {expiry.state(run) for run in runs} == {RunState.CLEANED}


def test_another_list_is_asked_about_again(expiry):
    expiry.observatory.change(expiry_most_runs=0)
    runs = [expiry.run_in(RunState.FAILED, 25)]
    held(expiry, runs)
    runs.append(expiry.run_in(RunState.FAILED, 26))
    held(expiry, runs, dag_run_id="scheduled__2")
    asked = "[SRDP] EXPIRY: asks before it removes {}"
    assert [subject for subject, _, _ in expiry.mails()] == [asked.format(1), asked.format(2)]


def test_a_large_share_of_many_is_asked_about(expiry):
    runs = [expiry.run_in(RunState.FAILED, 25) for _ in range(11)]
    for _ in range(10):
        expiry.observatory.open_run()
    said, _ = held(expiry, runs)
    assert "11 of 21 would be removed at once, a larger share than 0.5 (SRDP_EXPIRY_LARGEST_SHARE)" in said
    expiry.observatory.open_run()
    assert expiry.step(dag_run_id="scheduled__2")["removed"]["number"] == 11


def test_a_retention_file_that_removes_what_is_young_is_asked_about_and_not_remembered(expiry, retention):
    run = expiry.run_in(RunState.FAILED, 0.5)
    expiry.step()
    right = retention.read_text()
    retention.write_text(right.replace("\nfailed 20", "\nfailed 0"))
    said, _ = held(expiry, [run], dag_run_id="scheduled__2")
    assert f"less than 1 days ago (SRDP_EXPIRY_YOUNGEST_DAYS): {run.pipeline_run_id}" in said
    assert expiry.ledger.retention.in_force() == RETENTION
    retention.write_text(right)
    assert expiry.step(dag_run_id="scheduled__3")["held"]["number"] == 0


def test_a_removal_that_was_begun_is_finished_without_asking(expiry, monkeypatch):
    run = expiry.run_in(RunState.FAILED, 50)
    with monkeypatch.context() as patch:
        replace_everywhere(patch, "srdp.domain.disk.removal:remove_run_directories", mock.Mock(side_effect=Killed))
        with pytest.raises(Killed):
            expiry.step()
    assert expiry.state(run) is RunState.CLEANING
    expiry.observatory.change(expiry_most_runs=0)
    assert expiry.names(expiry.step()["removed"]) == [run.pipeline_run_id]


def test_a_dry_run_says_what_would_be_asked_about(expiry):
    expiry.observatory.change(expiry_most_runs=0)
    run = expiry.run_in(RunState.FAILED, 25)
    result = expiry.step(only_report="True")
    assert expiry.names(result["held"]) == [run.pipeline_run_id]
    assert "SRDP_EXPIRY_MOST_RUNS" in result["why_held"][0]
    assert expiry.mails() == []


@pytest.mark.parametrize("minutes", [-6, 6])
def test_nothing_is_removed_for_its_age_while_the_clocks_differ(expiry, monkeypatch, minutes):
    run = expiry.run_in(RunState.FAILED, 50)

    class OtherClock(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(minutes=minutes)

    with monkeypatch.context() as patch:
        patch.setattr(module, "datetime", OtherClock)
        with pytest.raises(ClocksDiffer, match=r"more than 5 minutes apart \(SRDP_LARGEST_CLOCK_DIFFERENCE_MINUTES\)"):
            expiry.step()
    assert expiry.there(run)
    assert expiry.step()["removed"]["number"] == 1


# The text file


def test_what_the_file_says_rightly_is_remembered(expiry):
    expiry.step()
    assert expiry.ledger.retention.in_force() == RETENTION


def test_a_wrong_line_is_reported_changes_nothing_and_stops_nothing(expiry, retention):
    failed, cancelled = expiry.run_in(RunState.FAILED, 19), expiry.run_in(RunState.CANCELLED, 7)
    expiry.step()
    retention.write_text(
        retention.read_text().replace("\nfailed 20", "\nfailed -1").replace("\ncancelled 30 days", "\ncancelled 1 week")
    )
    result = expiry.step(dag_run_id="scheduled__2")
    assert expiry.names(result["removed"]) == [cancelled.pipeline_run_id]
    assert expiry.there(failed)
    assert expiry.ledger.retention.in_force() == RETENTION | {"cancelled": 7}
    assert "line 2, column 8: '-1' is negative" in result["problems"][0]
    assert result["problems"][1].endswith("no good line for failed: failed VLA runs are kept for 20 days, as before.")
    (subject, text, recipients) = expiry.mails()[-1]
    assert subject == "[SRDP] EXPIRY: the retention file has a mistake"
    assert "line 2, column 8" in text
    assert recipients == ["one@example.org", "two@example.org", "manager@example.org"]


def test_without_the_file_what_was_in_force_stays(expiry, retention):
    run = expiry.run_in(RunState.FAILED, 25)
    expiry.sql("INSERT INTO retention VALUES ('failed', 26)")
    retention.unlink()
    result = expiry.step()
    assert expiry.there(run)
    assert "is not there" in result["problems"][0]
    assert expiry.ledger.retention.in_force() == {"failed": 26}


# What belongs to nobody


def test_what_belongs_to_no_run_is_listed_and_never_touched(expiry):
    settings = expiry.observatory.settings
    cleaned, waiting = expiry.run_in(RunState.CLEANED, 5000), expiry.run_in(RunState.AWAITING_QA, 5000, "qa_area")
    cached = expiry.archived_run(1)
    unknown = "vla-20200101-000000-0000"
    strange = {
        settings.processing_area / unknown: "belongs to no pipeline run that the ledger knows.",
        settings.processing_area / "notes\n": "belongs to no pipeline run that the ledger knows.",
        settings.qa_area / f".{waiting.pipeline_run_id}.arriving": "belongs to no pipeline run that the ledger knows.",
        settings.measurement_set_cache / unknown: "belongs to no measurement set that the ledger knows.",
    }
    for path in strange:
        path.mkdir()
    (settings.qa_area / "a file").touch()
    strange[settings.qa_area / "a file"] = "belongs to no pipeline run that the ledger knows."
    strange[settings.processing_area / cleaned.pipeline_run_id] = "is there although the run's directory was removed."
    result = expiry.step()
    assert sorted(result["unknown_entries"]) == sorted(f"{str(path)!a} {why}" for path, why in strange.items())
    assert all(path.exists() for path in strange)
    assert expiry.there(cached)
    # They are there every day: no mail.
    assert expiry.mails() == []


def test_a_run_in_an_area_of_the_other_family_is_a_stray(expiry):
    own = expiry.run_in(RunState.FAILED, 1)
    wrong = expiry.observatory.settings.alma_processing_area / own.pipeline_run_id
    wrong.mkdir()
    (said,) = expiry.step()["unknown_entries"]
    assert said == f"{str(wrong)!a} has the name of a run that does not belong into this area."
    assert expiry.there(own)


@pytest.mark.parametrize("area", ["processing_area", "qa_area", "alma_processing_area", "alma_qa_area"])
def test_an_area_that_is_not_mounted_is_no_empty_one(expiry, area):
    run = expiry.run_in(RunState.FAILED, 50)
    place = getattr(expiry.observatory.settings, area)
    place.rename(place.with_name("elsewhere"))
    with pytest.raises(ServiceUnavailable, match="mounted"):
        expiry.step()
    assert expiry.state(run) is RunState.FAILED


# Mails


def test_no_mail_about_nothing(expiry):
    expiry.run_in(RunState.FAILED, 1)
    result = expiry.step()
    assert [result[sort]["number"] for sort in ("removed", "failed", "kept", "coming")] == [0, 0, 0, 0]
    assert expiry.mails() == []


def test_what_comes_is_mailed_once_a_scheduled_dag_run_and_not_to_who_asks_by_hand(expiry):
    expiry.run_in(RunState.FAILED, 15)
    expiry.step(run_type="manual", dag_run_id="manual__1")
    assert expiry.mails() == []
    for _ in range(2):
        expiry.step()
    assert [subject for subject, _, _ in expiry.mails()] == ["[SRDP] Expiry: 1 will be removed within a week"]


def test_an_expiry_that_could_not_come_to_its_end_is_reported_after_its_last_try(expiry):
    place = expiry.observatory.settings.qa_area
    place.rename(place.with_name("elsewhere"))
    for changes in ({"run_type": "manual", "dag_run_id": "manual__1"}, {}):
        assert expiry.mails() == []
        with pytest.raises(ServiceUnavailable) as reported:
            expiry.step(**changes)
        assert expiry.mails() == [], "it is tried again"
        expiry.operator({}).given_up(expiry.context(**changes), reported.value)
    ((subject, text, recipients),) = expiry.mails()
    assert subject == "[SRDP] EXPIRY: stopped before its end, nothing further was removed"
    assert f"The area {place} cannot be looked into" in text
    assert "manager@example.org" in recipients


def test_what_could_not_be_removed_is_reported_by_the_report_alone(expiry):
    expiry.operator({}).given_up(expiry.context(), NotRemoved("One could not be removed."))
    assert expiry.mails() == []


def test_what_is_removed_by_hand_is_mailed(expiry):
    expiry.run_in(RunState.FAILED, 50)
    expiry.step(run_type="manual", dag_run_id="manual__1")
    assert [subject for subject, _, _ in expiry.mails()] == ["[SRDP] Expired: 1 removed, 0.000 GB"]


def test_a_ledger_that_goes_away_is_for_a_retry(expiry, monkeypatch):
    run = expiry.run_in(RunState.FAILED, 50)

    def away(*_):
        raise ServiceUnavailable("The ledger's database is away.")

    monkeypatch.setattr(Removals, "record_expiring", away)
    monkeypatch.setattr(Removals, "record_not_expired", away)
    with pytest.raises(ServiceUnavailable):
        expiry.step()
    assert expiry.there(run)


def test_the_subject_of_a_thing_is_reported_in_the_report(expiry):
    run = expiry.run_in(RunState.FAILED, 50)
    expiry.step()
    assert expiry.ledger.removals.expired_by("scheduled__1") == [
        Expiring(
            kind="failed", pipeline_run_id=run.pipeline_run_id, subject=run.subject, since=run.state_since,
            expires_at=expiry.ledger.removals.expired_by("scheduled__1")[0].expires_at, size_bytes=1000,
        )
    ]  # fmt: skip
    assert expiry.ledger.removals.expired_by("scheduled__2") == []
