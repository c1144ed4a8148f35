from __future__ import annotations

from datetime import UTC, datetime

from srdp.domain.casa.queue import places


def test_who_waits_for_casa_is_notified_its_place() -> None:
    first, second = datetime(2026, 11, 22, 18, 24, tzinfo=UTC), datetime(2026, 11, 22, 19, tzinfo=UTC)
    assert places([("vla-1", first), ("alma-2", second)]) == {
        "vla-1": "waits for a free slot of the CASA pool since 2026-11-22 18:24 UTC, place 1 of 2",
        "alma-2": "waits for a free slot of the CASA pool since 2026-11-22 19:00 UTC, place 2 of 2",
    }
    assert places([]) == {}
