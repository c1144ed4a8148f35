from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.observing import ingest

from srdp.domain.runs.execution_block import Decision
from srdp.domain.runs.observations import HISTORY
from srdp.hooks.observations import ObservationWatch

pytestmark = pytest.mark.servers

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(settings):
    """There are places enough, except where a test says otherwise."""
    return settings.model_copy(update={"watch_runs_at_once": 1000})


@pytest.fixture
def watch(settings, archive_url, ledger_url):
    return ObservationWatch(settings)


@pytest.fixture
def query(ledger_url):
    def rows(statement, *parameters):
        with psycopg.connect(ledger_url) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    return rows


@pytest.fixture
def decisions(query):
    return lambda: dict(query("SELECT eb_name, decision FROM observation"))


def backlog(settings, **changes):
    return ObservationWatch(settings.model_copy(update={"watch_backlog_from": "2020-01-01", **changes}))


def cycle(watch: ObservationWatch) -> list[str]:
    """What one DAG run does; returns what it started."""
    if not watch.due():
        return []
    watch.decide()
    names = list(watch.to_start())
    for name in names:
        watch.mark_started(name, name)
    return names


# Beginning


def test_nothing_that_was_there_before_the_first_start_is_calibrated(watch, archive_url, decisions, query):
    recent, old = ingest(archive_url), ingest(archive_url, at=datetime(2020, 5, 5, tzinfo=UTC))
    assert not watch.due()
    assert cycle(watch) == []
    assert decisions() == {recent: "left alone"}
    assert query("SELECT reason FROM observation") == [(HISTORY,)]
    assert old not in decisions()


def test_what_comes_after_the_first_start_is_calibrated_once(watch, archive_url, decisions):
    watch.begin()
    name = ingest(archive_url)
    assert watch.due()
    assert cycle(watch) == [name]
    assert not watch.due()
    assert cycle(watch) == []
    assert decisions() == {name: "calibrate"}


def test_a_second_first_start_changes_nothing(watch, settings, archive_url, query):
    watch.begin()
    before = query("SELECT * FROM observation_watch")
    ingest(archive_url)
    watch.begin()
    ObservationWatch(settings).begin()
    assert query("SELECT * FROM observation_watch") == before


def test_two_first_starts_at_once_agree(settings, archive_url, ledger_url, query):
    for _ in range(20):
        ingest(archive_url)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ObservationWatch(settings).begin(), range(4)))
    assert query("SELECT count(*) FROM observation_watch") == [(1,)]
    assert query("SELECT count(*), min(decision), max(decision) FROM observation") == [(20, "left alone", "left alone")]


def test_a_longer_overlap_later_does_not_reach_history(watch, settings, archive_url, decisions):
    now = datetime.now(UTC)
    for hours in (0.5, 5, 20, 30, 300):
        ingest(archive_url, at=now - hours * HOUR)
    watch.begin()
    longer = ObservationWatch(settings.model_copy(update={"watch_overlap_minutes": 1e6}))
    assert cycle(longer) == []
    assert set(decisions().values()) == {"left alone"}


# Noticing


def test_many_at_once_are_all_started_and_each_once(watch, archive_url):
    watch.begin()
    with psycopg.connect(archive_url) as connection:
        names = {ingest(archive_url, connection=connection) for _ in range(30)}
    started = cycle(watch)
    assert (len(started), set(started)) == (30, names)
    assert cycle(watch) == []


def test_a_row_that_is_committed_late_is_noticed(watch, archive_url):
    watch.begin()
    with psycopg.connect(archive_url) as slow:
        late = ingest(archive_url, connection=slow)  # its time of ingestion is that of the transaction's begin
        on_time = ingest(archive_url)
        assert cycle(watch) == [on_time]
    assert cycle(watch) == [late]


def test_a_row_with_a_time_before_the_first_start_that_was_committed_after_it_is_noticed(watch, archive_url):
    watch.begin()
    late = ingest(archive_url, at=datetime.now(UTC) - HOUR / 2)
    assert cycle(watch) == [late]


def test_a_row_from_before_the_overlap_is_not_noticed(watch, archive_url):
    watch.begin()
    ingest(archive_url, at=datetime.now(UTC) - 2 * HOUR)
    assert cycle(watch) == []


def test_a_time_in_the_future_does_not_blind_the_sensor(watch, archive_url, query):
    watch.begin()
    odd = ingest(archive_url, at=datetime(2099, 1, 1, tzinfo=UTC))
    assert cycle(watch) == [odd]
    assert query("SELECT watermark < now() + interval '1 minute' FROM observation_watch") == [(True,)]
    later = ingest(archive_url)
    assert cycle(watch) == [later]


def test_it_catches_up_after_a_month(watch, archive_url, query):
    watch.begin()
    query(
        "UPDATE observation_watch "
        "SET first_started_at = now() - interval '40 days', watermark = now() - interval '30 days'"
    )
    names = [ingest(archive_url, at=datetime.now(UTC) - timedelta(days=days)) for days in (29, 15, 1, 0)]
    assert cycle(watch) == names


# Leaving alone


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"name": "sysstartS.58955.83384832176"}, "system SDMs are not calibrated"),
        ({"status": "Do Not Calibrate"}, "Do Not Calibrate"),
        ({"status": "Calibrated"}, "Calibrated already"),
        ({"status": "On hold"}, "'On hold' is not known here"),
        ({"name": "x'; DROP TABLE observation; --"}, "its name is not that of"),
        ({"name": "%(names)s %s %"}, "its name is not that of"),
        ({"name": "\u202e" * 500}, "its name is not that of"),
    ],
)
def test_what_is_left_alone_is_left_alone_visibly_and_holds_up_nothing(watch, archive_url, query, row, reason):
    watch.begin()
    ingest(archive_url, **row)
    other = ingest(archive_url)
    assert cycle(watch) == [other]
    ((found,),) = query("SELECT reason FROM observation WHERE decision = 'left alone'")
    assert reason in found
    assert not watch.due()


def test_what_was_left_alone_is_not_started_when_its_status_changes(watch, archive_url):
    watch.begin()
    name = ingest(archive_url, status="Do Not Calibrate")
    cycle(watch)
    with psycopg.connect(archive_url) as connection:
        connection.execute("UPDATE execution_block SET calibration_status = 'Ready' WHERE name = %s", (name,))
    assert cycle(watch) == []


def test_what_somebody_started_by_hand_first_is_left_alone(watch, archive_url, open_run, query):
    watch.begin()
    name = ingest(archive_url)
    run = open_run(subject=name)
    assert cycle(watch) == []
    ((reason,),) = query("SELECT reason FROM observation")
    assert run.pipeline_run_id in reason


# How many at once


@pytest.fixture
def narrow(settings, archive_url, ledger_url):
    """A watch that starts no more than two at once."""
    made = ObservationWatch(settings.model_copy(update={"watch_runs_at_once": 2}))
    made.begin()
    return made


@pytest.mark.parametrize("delivered", ["awaiting_qa", "failed", "cancelled", "archived"])
def test_no_more_are_started_than_there_are_places_and_the_oldest_first(narrow, archive_url, run_in, query, delivered):
    names = [ingest(archive_url) for _ in range(4)]
    assert cycle(narrow) == names[:2]
    assert not narrow.due(), "started a moment ago, they have no run yet"
    runs = [run_in("processing", subject=name) for name in names[:2]]
    assert not narrow.due(), "the watcher does not ask for what has no place"
    assert narrow.to_start() == []
    assert narrow.waiting() == 2
    end = "UPDATE pipeline_run SET state = %s WHERE pipeline_run_id = %s"
    query(end, delivered, runs[1].pipeline_run_id)
    assert narrow.due() == {f"block {names[2]}"}, "a name of its own for each place: the watcher asks at once"
    query(end, delivered, runs[0].pipeline_run_id)
    assert narrow.due() == {f"block {name}" for name in names[2:]}
    assert cycle(narrow) == names[2:]


def test_what_is_new_is_decided_while_there_is_no_place(narrow, archive_url, decisions):
    names = [ingest(archive_url) for _ in range(2)]
    assert cycle(narrow) == names
    late = ingest(archive_url)
    assert narrow.due()
    assert cycle(narrow) == []
    assert decisions()[late] == "calibrate"
    assert not narrow.due()


def test_what_has_opened_no_run_for_ten_minutes_keeps_no_place(narrow, archive_url, query):
    names = [ingest(archive_url) for _ in range(3)]
    assert cycle(narrow) == names[:2]
    query("UPDATE observation SET started_at = started_at - interval '11 minutes' WHERE eb_name = %s", names[0])
    assert cycle(narrow) == names[2:]


def test_runs_that_were_started_by_hand_take_places_and_those_of_another_family_do_not(narrow, archive_url, run_in):
    run_in("fetching", subject="13A-537.sb1.eb1.56514.05971091435")
    run_in("fetching", kind="alma_imaging", subject="uid___A001_X1_X1")
    names = [ingest(archive_url) for _ in range(2)]
    assert cycle(narrow) == names[:1]


def test_what_somebody_starts_by_hand_while_it_waits_is_not_started_again(narrow, archive_url, run_in, query):
    names = [ingest(archive_url) for _ in range(3)]
    assert cycle(narrow) == names[:2]
    by_hand = run_in("failed", subject=names[2])
    for name in names[:2]:
        run_in("awaiting_qa", subject=name)
    assert not narrow.due()
    assert narrow.to_start() == []
    assert query("SELECT dag_run_id FROM observation WHERE eb_name = %s", names[2]) == [(by_hand.dag_run_id,)]
    assert narrow.waiting() == 0


def test_a_lower_number_later_starts_nothing_until_enough_have_ended(settings, narrow, archive_url, run_in):
    for name in (ingest(archive_url) for _ in range(2)):
        run_in("processing", subject=name)
    ingest(archive_url)
    cycle(narrow)
    lower = ObservationWatch(settings.model_copy(update={"watch_runs_at_once": 1}))
    assert lower.to_start() == []
    assert lower.waiting() == 1


# Dying


def test_what_was_decided_and_not_started_is_started_by_the_next_run(watch, settings, archive_url):
    watch.begin()
    names = [ingest(archive_url) for _ in range(3)]
    watch.decide()
    watch.mark_started(names[0], names[0])
    after_the_crash = ObservationWatch(settings)
    assert after_the_crash.due()
    assert cycle(after_the_crash) == names[1:]


def test_a_decision_that_was_not_committed_is_made_again(watch, archive_url, decisions, monkeypatch):
    watch.begin()
    name = ingest(archive_url)
    with monkeypatch.context() as patch:
        patch.setattr(ObservationWatch, "_decide_backlog", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            watch.decide()
    assert decisions() == {}
    assert cycle(watch) == [name]


def test_two_sensors_at_once_decide_each_once(settings, archive_url, ledger_url, query):
    ObservationWatch(settings).begin()
    names = {ingest(archive_url) for _ in range(20)}
    with ThreadPoolExecutor(4) as threads:
        noticed = list(threads.map(lambda _: ObservationWatch(settings).decide(), range(4)))
    assert sorted(one.sdm.name for some in noticed for one in some) == sorted(names)


def test_the_first_start_of_a_calibration_is_the_one_that_is_recorded(watch, archive_url, query):
    watch.begin()
    name = ingest(archive_url)
    cycle(watch)
    before = query("SELECT started_at, dag_run_id FROM observation")
    watch.mark_started(name, "another")
    assert query("SELECT started_at, dag_run_id FROM observation") == before


# The backlog


@pytest.fixture
def history(archive_url):
    first = datetime(2020, 1, 1, tzinfo=UTC)
    return [ingest(archive_url, at=first + timedelta(days=number // 2)) for number in range(7)]


def test_without_a_date_there_is_no_backlog(watch, history):
    watch.begin()
    assert cycle(watch) == []


def test_the_backlog_is_started_in_its_order_within_the_cap(settings, watch, history, query):
    watch.begin()
    capped = backlog(settings, watch_backlog_per_day=3)
    assert cycle(capped) == history[:3]
    assert not capped.due()
    assert cycle(capped) == []
    query("UPDATE observation SET started_at = started_at - interval '23 hours'")
    assert cycle(capped) == []
    query("UPDATE observation SET started_at = started_at - interval '1 hour 1 second'")
    assert cycle(capped) == history[3:6]
    query("UPDATE observation SET started_at = started_at - interval '25 hours'")
    assert cycle(capped) == history[6:]
    query("UPDATE observation SET started_at = started_at - interval '25 hours'")
    assert cycle(capped) == []
    assert not capped.due()


def test_what_is_decided_and_not_started_counts_to_the_cap(settings, watch, history):
    watch.begin()
    capped = backlog(settings, watch_backlog_per_day=2)
    capped.decide()
    capped.decide()
    assert list(capped.to_start()) == history[:2]


def test_a_cap_of_zero_starts_nothing(settings, watch, history):
    watch.begin()
    assert cycle(backlog(settings, watch_backlog_per_day=0)) == []


def test_the_cap_does_not_hold_up_what_is_new(settings, watch, archive_url, history):
    watch.begin()
    capped = backlog(settings, watch_backlog_per_day=1)
    cycle(capped)
    name = ingest(archive_url)
    assert cycle(capped) == [name]


def test_the_backlog_begins_on_its_date_and_takes_up_recorded_history(settings, watch, archive_url, history, decisions):
    now = datetime.now(UTC)
    recent = ingest(archive_url, at=now - HOUR)
    marked = ingest(archive_url, at=now - HOUR, status="Do Not Calibrate")
    watch.begin()
    assert decisions()[recent] == "left alone"
    started = cycle(backlog(settings, watch_backlog_from=f"{now - timedelta(days=2):%Y-%m-%d}"))
    assert started == [recent]
    assert decisions()[marked] == "left alone"
    assert history[0] not in decisions()


def test_an_earlier_date_takes_up_the_rest(settings, watch, history):
    watch.begin()
    assert cycle(backlog(settings, watch_backlog_from="2020-01-03")) == history[4:]
    assert cycle(backlog(settings)) == history[:4]


def test_many_pages_that_are_left_alone_do_not_end_the_backlog(settings, watch, archive_url, monkeypatch):
    monkeypatch.setattr("srdp.hooks.observations._BACKLOG_PAGE", 2)
    first = datetime(2020, 1, 1, tzinfo=UTC)
    for number in range(9):
        ingest(archive_url, at=first + timedelta(hours=number), status="Calibrated")
    wanted = ingest(archive_url, at=first + timedelta(days=1))
    watch.begin()
    noticed = backlog(settings).decide()
    assert len(noticed) == 10
    assert [one.sdm.name for one in noticed if one.verdict.decision is Decision.CALIBRATE] == [wanted]


def test_asking_writes_nothing(watch, archive_url, query):
    watch.begin()
    ingest(archive_url)
    before = query("SELECT * FROM observation_watch"), query("SELECT * FROM observation")
    assert watch.due()
    assert (query("SELECT * FROM observation_watch"), query("SELECT * FROM observation")) == before
