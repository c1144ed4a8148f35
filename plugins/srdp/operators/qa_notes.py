"""Writing the verdict into the weblog."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from srdp.domain.errors import ServiceUnavailable, SrdpError
from srdp.domain.whole_file import LocalFilesError
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.operators.ingest_step import IngestWork


class WriteQaNotesOperator(IngestStepOperator):
    """Writes the verdict into the weblog's ``qa_notes.html`` and makes the weblog's tar in ``products/`` anew.

    The notes hold the time of the claim, so that they are the same in every try, and so is the tar. What may have been
    sent to NGAS already and still lies there is not made again.

    Args:
        pipeline_run_id: the run (templated).
    """

    retryable_errors: ClassVar[tuple[type[SrdpError], ...]] = (ServiceUnavailable, LocalFilesError)

    def ingest_step(self, work: IngestWork) -> None:
        """Writes notes and tar."""
        from srdp.domain.ingest import WEBLOG, is_recorded_file, weblog_name
        from srdp.domain.qa_notes import render_html
        from srdp.domain.weblog import pack_weblog, write_qa_notes

        directory = work.directory()
        name = weblog_name(directory)
        sent = [file for file in work.ledger.files_of_ingest(work.ingest) if file.kind == WEBLOG and file.sent_at]
        if sent and is_recorded_file(directory.products / name, sent[0]):
            self.log.info("%s may be in NGAS already and is as it was: it is not made again.", name)
            return
        written = write_qa_notes(directory, render_html(work.ingest.verdict, when=work.ingest.claimed_at))
        self.log.info("The QA notes %s.", "are written" if written else "stand there already")
        packed = pack_weblog(directory, name=name)
        self.log.info("%s has %d bytes and the CRC-32 %d", packed.path, packed.size_bytes, packed.crc32)
