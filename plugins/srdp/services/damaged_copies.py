"""Telling of copies in NGAS that are damaged: in the log, in the ledger, and by mail to the operators."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from srdp.domain.common.errors import SrdpError, quoted
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import NgasCopyDamaged
from srdp.domain.ngas.copies import DamagedCopy
from srdp.hooks import metrics
from srdp.notifications.copy_mails import copy_damaged
from srdp.services.context import RunContext

log = logging.getLogger(__name__)


def report_damaged_copies(context: RunContext, damaged: Iterable[DamagedCopy], *, found_by: str) -> None:
    """Log damaged copies, record them as an event of the run, and queue a mail to the operators.

    Event and mail are one transaction. Of the same copies there is one a day, however often they are found.

    Args:
        context: the run whose files they are copies of.
        damaged: the copies; nothing is done if there are none.
        found_by: what was being done: ``fetch``, ``ingest`` or ``removal``.
    """
    copies = sorted(set(damaged), key=lambda copy: (copy.file_id, copy.version, copy.server, copy.disk_id))
    if not copies:
        return
    for copy in copies:
        log.error("Damaged copy of %s version %d on disk %s: %s", *_named(copy))
    which = "\n".join(f"{copy.server} {copy.file_id} {copy.version} {copy.disk_id}" for copy in copies)
    key = f"{context.ledger.now():%Y%m%d}_{hashlib.sha256(which.encode()).hexdigest()[:16]}"
    details = NgasCopyDamaged(found_by=found_by, copies=[asdict(copy) for copy in copies])
    mail = copy_damaged(context.settings, context.run, copies, found_by=found_by, key=f"copy_damaged_{key}")
    context.ledger.events.record(context.run_id, EventName.NGAS_COPY_DAMAGED, details, once=key, mails=[mail])
    metrics.send(metrics.DAMAGED, len(copies), found_by=found_by)


@contextmanager
def damage_reported(context: RunContext, found_by: str) -> Iterator[Callable[[Iterable[DamagedCopy]], None]]:
    """Report the damaged copies that the body finds, also those named by an error that ends it.

    Args:
        context: the run.
        found_by: see :func:`report_damaged_copies`.

    Yields:
        The function that the body calls with what it found.
    """

    def report(damaged: Iterable[DamagedCopy]) -> None:
        report_damaged_copies(context, damaged, found_by=found_by)

    try:
        yield report
    except SrdpError as error:
        report(getattr(error, "damaged", ()))
        raise


def _named(copy: DamagedCopy) -> tuple[str, int, str, str]:
    return quoted(copy.file_id), copy.version, quoted(copy.disk_id), copy.why
