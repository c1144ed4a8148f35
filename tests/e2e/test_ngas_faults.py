"""What NGAS does wrong, seen from the run: what heals delays it, and what does not fails it with the file's name.

Every fault of every request has its test beside the fetch; here are those that a whole run must survive or tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future

import psycopg
import pytest
from tests.e2e.site import Run, Site
from tests.e2e.site_tools import play_at_once
from tests.programs.casa_contract import ContractCasa

from sandbox.observe import ObservedBlock
from sandbox.stack.environment import ARCHIVE

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]


def cuts_corruption_503_and_being_offline_only_delay_a_run(site: Site) -> None:
    block = site.observe()
    site.faults.add(block, "cut", number=4, bytes=70_000, times=2)
    site.faults.add(block, "corrupt", number=5, bytes=1234, times=1)
    site.faults.add(block, "busy", number=6, times=2)
    site.faults.add(block, "offline", number=7, times=2)
    site.faults.add(block, "empty_reply", number=8, times=1)
    run = site.start("heals", block)
    run.check_delivered()
    assert run.task("fetch_from_ngas")["try_number"] == 1
    asked = {number: _requests(site, block, number) for number in range(4, 9)}
    assert [request["range_start"] for request in asked[4]][:2] == [0, 70_000]
    assert len(asked[5]) == 2
    assert [request["status"] for request in asked[6]][-1] == 200
    assert [request["status"] for request in asked[7]] == [400, 400, 200]
    assert len(asked[8]) == 2


def a_server_that_falls_silent_only_delays_a_run(site: Site) -> None:
    block = site.observe()
    site.faults.add(block, "stall", number=4, bytes=50_000, times=1)
    run = site.start("stall", block)
    run.check_delivered()
    # The server closes the silent connection, and logs it, after the client has given it up.
    run.until("both requests in NGAS's log", lambda: len(_requests(site, block, 4)) == 2)
    assert [request["range_start"] for request in _requests(site, block, 4)] == [0, 50_000]


def a_file_that_ngas_does_not_have_fails_the_run_with_its_name(site: Site) -> None:
    block = site.observe()
    lost = f"{block.files[3].ngas_file_id}.lost"
    _change_archive(
        site, "UPDATE file SET ngas_file_id = %s WHERE ngas_file_id = %s", lost, block.files[3].ngas_file_id
    )
    run = site.start("missing", block)
    run.check_failed(lost, "does not have the file")
    assert _nothing_half_fetched(run, block)


def a_damaged_file_fails_the_run_with_its_name(site: Site) -> None:
    block = site.observe()
    site.faults.add(block, "corrupt_stored", number=6, bytes=777, command="RETRIEVE", times=1)
    run = site.start("damaged", block)
    run.check_failed(block.files[5].ngas_file_id, "checksum", "corrupt on disk", "archive's operators")
    assert _nothing_half_fetched(run, block)
    assert len(_requests(site, block, 6)) == 1  # the server finds its only copy damaged: it is not fetched again


def an_observation_for_which_there_is_no_space_waits_and_goes_on_by_itself(site: Site) -> None:
    block = site.observe()
    file = block.files[4]
    _change_archive(site, "UPDATE file SET size = %s WHERE ngas_file_id = %s", 10**15, file.ngas_file_id)
    run = site.start("disk full", block)
    run.until_task("fetch_from_ngas", "up_for_retry")
    assert site.retrievals(block) == []
    (waits,) = run.events("step_waits")
    assert "SRDP_FETCH_SPARE_GB" in str(waits["details"])
    _change_archive(site, "UPDATE file SET size = %s WHERE ngas_file_id = %s", file.size, file.ngas_file_id)
    run.check_delivered()


def _requests(site: Site, block: ObservedBlock, number: int) -> list[dict[str, object]]:
    wanted = block.files[number - 1].ngas_file_id
    return [request for request in site.retrievals(block) if request["file_id"] == wanted]


def _change_archive(site: Site, statement: str, *values: object) -> None:
    with psycopg.connect(site.instance.postgres.url(ARCHIVE)) as archive:
        assert archive.execute(statement, values).rowcount == 1


def _nothing_half_fetched(run: Run, block: ObservedBlock) -> bool:
    raw = run.directory("processing") / "rawdata" / block.name
    stored = {file.relative_path: file.size for file in block.files}
    return all(path.stat().st_size == stored[str(path.relative_to(raw))] for path in raw.rglob("*") if path.is_file())


SCENARIOS: list[Callable[[Site], None]] = [
    a_server_that_falls_silent_only_delays_a_run,
    cuts_corruption_503_and_being_offline_only_delay_a_run,
    a_file_that_ngas_does_not_have_fails_the_run_with_its_name,
    a_damaged_file_fails_the_run_with_its_name,
    an_observation_for_which_there_is_no_space_waits_and_goes_on_by_itself,
]


@pytest.fixture(scope="module")
def outcomes(quiet_site: Site, contract_casa: ContractCasa) -> Mapping[str, Future[None]]:
    """What came of the scenarios, all of which have been played, at once, when the first test asks."""
    quiet_site.instance.up()
    quiet_site.set_casa_slots(32)
    contract_casa.behave()
    return play_at_once(quiet_site, SCENARIOS)


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_that(outcomes: Mapping[str, Future[None]], scenario: str) -> None:
    outcomes[scenario].result()
