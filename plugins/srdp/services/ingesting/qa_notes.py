"""Writing the verdict into the weblog."""

from __future__ import annotations

import logging

from srdp.domain.archiving.casa_input import submitted_record
from srdp.domain.archiving.contents import WEBLOG
from srdp.domain.archiving.ingest import is_recorded_file, weblog_name
from srdp.domain.casa.weblog import pack_weblog, write_qa_notes, write_qa_report
from srdp.domain.qa.notes import render_html
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.services.ingesting.context import IngestContext

log = logging.getLogger(__name__)


def write_notes(work: IngestContext) -> None:
    """Write the verdict into the weblog's ``qa_notes.html`` and make the weblog's tar again; may be repeated.

    Args:
        work: the ingest.
    """
    directory = work.directory()
    name = weblog_name(directory)
    sent = [file for file in work.ledger.archived_files.of_ingest(work.ingest) if file.kind == WEBLOG and file.sent_at]
    if sent and is_recorded_file(directory.root, directory.products / name, sent[0]):
        log.info("%s may be in NGAS already and is as it was: it is not made again.", name)
        return
    report = _write_report(work, directory)
    notes = render_html(work.ingest.verdict, when=work.ingest.claimed_at, report=report)
    written = write_qa_notes(directory, notes)
    log.info("The QA notes %s.", "are written" if written else "stand there already")
    packed = pack_weblog(directory, name=name)
    log.info("%s has %d bytes and the CRC-32 %d", packed.path, packed.size_bytes, packed.crc32)


def _write_report(work: IngestContext, directory: RunDirectory) -> str | None:
    """Put the report that was given into the weblog; return its name there."""
    name = work.contents.report
    if name is None:
        return None
    given = work.ledger.submitted_files.of_run(work.run_id).get(submitted_record(name, work.ingest.number))
    write_qa_report(directory, name, given.content if given else None)
    return name if given else None
