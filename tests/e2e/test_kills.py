"""SIGKILL to real processes at observed moments, and what people do to a run in Airflow.

Whatever is killed: CASA is started once, the run has one directory, everybody is notified once, and the run succeeds or
says why it did not. "Once" is counted at CASA, at the mail server and on disk.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from tests.e2e.site import HELD_STAGE, Run, Site
from tests.e2e.site_tools import is_alive, play_at_once, until
from tests.programs.casa_contract import ContractCasa

from srdp.domain.runs.run_marker import MARKER

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

# 200 kB a file: long enough to be seen and killed in, short enough to wait for.
_SLOW = 15_000
# On a machine whose cores are all taken; what is bounded by it takes a few seconds on an idle one.
_SECONDS = 45.0
# In which a step that ran continues after whatever was killed, with the configuration that is shipped.
_RECOVERY_SECONDS = 60.0


# --- what is done to one run, and disturbs no other: all of it at once --------------------------------------------


def fetch_is_killed_while_bytes_flow(site: Site) -> None:
    """... and continues where the files end that had begun."""
    block = site.observe()
    site.faults.add(block, "slow", rate=_SLOW)
    run = site.start("fetch", block)
    run.until_bytes_flow()
    run.kill_task("fetch_from_ngas")
    raw = run.directory("processing") / "rawdata"
    assert not [path for path in raw.rglob("uid____evla_bdf_*") if path.stat().st_size < 200_000]
    site.faults.clear(block)
    run.release()
    run.check_delivered()
    assert any(request["range_start"] > 0 for request in site.retrievals(block))


def delivery_is_killed_before_and_after_the_move(site: Site) -> None:
    run = site.start("deliver")
    run.release()
    pid = run.process("deliver_to_qa_area")
    os.kill(pid, signal.SIGSTOP)
    is_there = run.directory("processing").is_dir()
    os.kill(pid, signal.SIGKILL)
    assert is_there, "the process was seen too late: it had moved the directory"
    run.until_task("deliver_to_qa_area", "up_for_retry")
    with run.locked():
        pid = run.until_locked_out("deliver_to_qa_area", attempt=2)
        assert not run.directory("processing").exists()
        assert (run.directory("qa") / "working" / "PPR.xml").is_file()
        os.kill(pid, signal.SIGKILL)
        until("its end", lambda: not is_alive(pid))
    assert run.state == "processing"
    run.check_delivered()
    assert run.task("deliver_to_qa_area")["try_number"] == 3


def _hold_between_claim_and_start(run: Run) -> int:
    """Has the job's wrapper wait after the task has claimed the job, until the descriptor that it returns is closed.

    A shared lock is what somebody holds who looks: the job counts as absent, and its wrapper waits.
    """
    run.until("its folder in the spool area", (run.directory("spool") / MARKER).is_file)
    run.job.mkdir(mode=0o700)
    held = os.open(run.job / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def _kill_wrappers(run: Run) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if str(run.job) in (process.info["cmdline"] or ()):
            process.kill()
            process.wait(_SECONDS)


def casas_start_is_killed_before_the_claim_and_after_it(site: Site) -> None:
    run = site.start("claim")
    held = _hold_between_claim_and_start(run)
    run.until("its PPR is recorded", lambda: run.row().get("ppr_sha256"), poll=0.05)
    with run.locked():
        pid = run.until_locked_out("run_casa")
        assert not (run.job / "job.json").exists()
        os.kill(pid, signal.SIGKILL)
        until("its end", lambda: not is_alive(pid))
    pid = run.process("run_casa", attempt=2)
    run.until("the claim", (run.job / "job.json").is_file)
    os.kill(pid, signal.SIGKILL)
    until("its end", lambda: not is_alive(pid))
    _kill_wrappers(run)
    assert not (run.job / "started.json").exists()
    assert run.starts() == []
    os.close(held)
    run.until_casa_is_held()
    run.release()
    run.check_delivered()
    assert run.task("run_casa")["try_number"] == 3


def casas_task_is_killed_after_the_start_and_before_it_could_say_so(site: Site) -> None:
    run = site.start("started")
    held = _hold_between_claim_and_start(run)
    run.until("the claim", (run.job / "job.json").is_file)
    with run.locked():
        os.close(held)
        pid = run.until_locked_out("run_casa")
        run.until("CASA's start", run.starts)
        assert run.events("casa_started") == []
        os.kill(pid, signal.SIGKILL)
        until("its end", lambda: not is_alive(pid))
    run.until_casa_is_held()
    run.release()
    run.check_delivered()
    assert run.task("run_casa")["try_number"] == 2


def casa_is_killed(site: Site) -> None:
    run = site.start("casa")
    pid = run.until_casa_is_held()
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    run.until("its end is recorded", lambda: run.attempts()[0]["ended_at"], seconds=_SECONDS)
    assert time.monotonic() - killed < _SECONDS
    run.check_failed("was killed by SIGKILL", "trigger a new run")
    assert run.attempts()[0]["signal"] == "SIGKILL"


def casas_wrapper_is_killed(site: Site) -> None:
    """... and CASA goes with it: nobody would see its end."""
    run = site.start("wrapper")
    pid = run.until_casa_is_held()
    wrapper = json.loads((run.job / "started.json").read_text())["wrapper_pid"]
    os.kill(wrapper, signal.SIGKILL)
    run.until("CASA's end", lambda: not is_alive(pid), seconds=_SECONDS)
    run.check_failed("was lost", "rerun it", "fetches nothing again")


def casas_task_is_marked_failed(site: Site) -> None:
    """... and CASA goes with every process that it started, also one that has left its session and its parent."""
    run = site.start("mark")
    pid = run.until_casa_is_held()
    daemon = int((run.directory("processing") / "working" / "daemon.pid").read_text())
    assert is_alive(daemon)
    run.mark("failed", "run_casa")
    run.until("the end of CASA and its child", lambda: not (is_alive(pid) or is_alive(daemon)), seconds=_SECONDS)
    run.check_failed("in Airflow", state="cancelled")
    assert run.attempts()[0]["ended_at"]


def casas_task_is_cleared_and_attaches_and_then_its_deadline_passes(site: Site) -> None:
    run = site.start("clear")
    pid = run.until_casa_is_held()
    run.clear("run_casa")
    run.until("it attaches", lambda: run.task("run_casa")["try_number"] == 2)
    run.until_task("run_casa", "deferred")
    assert is_alive(pid)
    assert len(run.starts()) == 1
    # The instance's deadline is two hours: the job is made to have begun before them, for the next look at it.
    record = run.job / "started.json"
    begun = datetime.now(UTC) - timedelta(hours=2, seconds=1)
    _replace(record, json.loads(record.read_text()) | {"started_at": begun.isoformat()})
    run.clear("run_casa")
    run.until("CASA's end", lambda: not is_alive(pid))
    run.check_failed("deadline", state="cancelled")
    assert len(run.starts()) == 1


def _replace(path: Path, content: Mapping[str, object]) -> None:
    temporary = path.with_name(".of-the-test")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


SCENARIOS: list[Callable[[Site], None]] = [
    fetch_is_killed_while_bytes_flow,
    delivery_is_killed_before_and_after_the_move,
    casas_start_is_killed_before_the_claim_and_after_it,
    casas_task_is_killed_after_the_start_and_before_it_could_say_so,
    casa_is_killed,
    casas_wrapper_is_killed,
    casas_task_is_marked_failed,
    casas_task_is_cleared_and_attaches_and_then_its_deadline_passes,
]


@pytest.fixture(scope="module")
def outcomes(quiet_site: Site, contract_casa: ContractCasa) -> Iterator[Mapping[str, Future[None]]]:
    """What came of the scenarios, all of which have been played when the first test asks."""
    quiet_site.instance.up()
    quiet_site.set_casa_slots(32)
    contract_casa.behave(hold_at=HELD_STAGE, daemon=True)
    yield play_at_once(quiet_site, SCENARIOS)
    contract_casa.behave()


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_when(outcomes: Mapping[str, Future[None]], scenario: str) -> None:
    outcomes[scenario].result()


# --- what is done to everybody --------------------------------------------------------------------------------------


def test_a_killed_scheduler_with_its_workers_and_a_killed_triggerer_are_replaced_and_every_run_goes_on(
    site: Site,
) -> None:
    fetching = site.observe()
    # So slow that it still fetches when the others are where they are to be, on a machine that is busy with other work.
    site.faults.add(fetching, "slow", rate=_SLOW // 4)
    in_delivery, in_casa, in_fetch = (
        site.start("scheduler deliver"),
        site.start("scheduler casa"),
        site.start("scheduler fetch", fetching),
    )
    in_delivery.release()
    casa = in_casa.until_casa_is_held()
    in_delivery.until_event("judged")
    with in_delivery.locked():
        pids = [in_delivery.until_locked_out("deliver_to_qa_area")]
        in_fetch.until_bytes_flow()
        pids.append(in_fetch.process("fetch_from_ngas"))
        site.kill("scheduler")
        killed = time.monotonic()
        site.kill("triggerer")
        until("the end of its tasks", lambda: not any(map(is_alive, pids)))
    assert (in_delivery.state, in_fetch.state) == ("processing", "fetching")
    assert is_alive(casa)
    in_fetch.process("fetch_from_ngas", attempt=2)
    assert time.monotonic() - killed < _RECOVERY_SECONDS
    site.faults.clear(fetching)
    for run in (in_fetch, in_casa):
        run.release()
    for run in (in_delivery, in_casa, in_fetch):
        run.check_delivered()


def test_a_killed_api_server_fails_no_run_and_casa_does_not_notice(site: Site) -> None:
    fetching = site.observe()
    site.faults.add(fetching, "slow", rate=_SLOW)
    in_casa, in_fetch = site.start("api casa"), site.start("api fetch", fetching)
    pid = in_casa.until_casa_is_held()
    in_fetch.until_bytes_flow()
    site.kill("api-server")
    assert is_alive(pid)
    in_casa.release()
    site.faults.clear(fetching)
    in_fetch.release()
    for run in (in_casa, in_fetch):
        run.check_delivered()
    assert in_casa.starts()[0]["pid"] == pid


def test_a_postgres_that_is_killed_and_comes_again_fails_no_run(site: Site) -> None:
    fetching = site.observe()
    site.faults.add(fetching, "slow", rate=_SLOW)
    in_transaction, in_casa, in_fetch = (
        site.start("postgres transaction"),
        site.start("postgres casa"),
        site.start("postgres fetch", fetching),
    )
    in_transaction.release()
    pid = in_casa.until_casa_is_held()
    in_transaction.until_event("judged")
    with in_transaction.locked():
        in_transaction.until_locked_out("deliver_to_qa_area")
        in_fetch.until_bytes_flow()
        # SIGQUIT is PostgreSQL's immediate stop: every connection breaks, nothing is written any more.
        before = site.instance.process("postgres")
        os.kill(before, signal.SIGQUIT)
        until("another postgres", lambda: site.instance.process("postgres") not in (0, before))
    assert is_alive(pid)
    site.faults.clear(fetching)
    for run in (in_casa, in_fetch):
        run.release()
    for run in (in_transaction, in_casa, in_fetch):
        run.check_delivered()


def test_without_a_triggerer_a_stopped_run_ends_its_job_all_the_same(site: Site) -> None:
    """The step that reports the failure does it; where a person stopped the whole DAG run, the reconciling DAG does.

    Its watchers wait in the triggerer, so here it is started as the clock starts it every quarter of an hour.
    """
    task, whole = site.start("dead triggerer task"), site.start("dead triggerer run")
    pids = [task.until_casa_is_held(), whole.until_casa_is_held()]
    site.instance.stop_component("triggerer")
    try:
        task.mark("failed", "run_casa")
        whole.mark("failed")
        site.airflow.trigger("send_mails_and_reconcile")
        for run, pid in zip((task, whole), pids, strict=True):
            run.until("CASA's end", lambda pid=pid: not is_alive(pid))
            run.check_failed(state="cancelled")
    finally:
        site.instance.start_component("triggerer")


def test_a_mail_server_that_is_down_delays_the_mails_and_fails_nothing(site: Site) -> None:
    site.instance.stop_component("mail")
    try:
        run = site.start("mail down")
        run.release()
        run.until_state("awaiting_qa", "failed")
        run.check_success()
        pending = "SELECT key FROM outbox WHERE pipeline_run_id = %(id)s AND done_at IS NULL"
        assert len(site.ledger.rows(pending, id=run.id)) == 2
    finally:
        site.instance.start_component("mail")
    run.check_delivered()


def test_the_pool_limits_how_many_casas_run_at_once(site: Site) -> None:
    site.set_casa_slots(2)
    runs = [site.start(f"pool {number}") for number in range(4)]
    for run in runs:
        run.until("its PPR is written", lambda run=run: run.events() and run.row().get("ppr_sha256"))
    until("two CASAs", lambda: sum(bool(run.starts()) for run in runs) == 2, story=runs[0].story)
    waiting = list(runs)
    while waiting:
        started = [run for run in waiting if run.starts()]
        assert len(started) <= 2
        # One is let go when its task has been deferred: from then on nothing but the pool holds the others back.
        run = next((run for run in started if run.task("run_casa")["state"] == "deferred"), None)
        if run:
            run.release()
            run.until("CASA's end", lambda run=run: run.attempts()[0]["ended_at"])
            waiting.remove(run)
        time.sleep(0.2)
    assert _most_at_once([_lifetime(run.attempts()[0]) for run in runs]) == 2
    for run in runs:
        run.check_delivered()


def _lifetime(attempt: Mapping[str, datetime]) -> tuple[datetime, datetime]:
    return attempt["started_at"], attempt["ended_at"]


def _most_at_once(lifetimes: list[tuple[datetime, datetime]]) -> int:
    return max(sum(start <= moment < end for start, end in lifetimes) for moment, _ in lifetimes)


# --- long after -----------------------------------------------------------------------------------------------------


def test_in_the_end_nothing_happened_twice_and_no_casa_is_left(site: Site) -> None:
    for run in site.runs:
        run.check_again()
    spool = str(site.instance.places.areas["spool"])
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CASA_JOB_FOLDER", "").startswith(spool):
                left.append(process)
        except psutil.Error:
            continue
    assert left == []
