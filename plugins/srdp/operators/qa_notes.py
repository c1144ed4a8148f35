"""Writing the verdict into the weblog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.operators.ingest_step import IngestWork


class WriteQaNotesOperator(IngestStepOperator):
    """Writes the verdict into the weblog's ``qa_notes.html`` and makes the weblog's tar in ``products/`` anew.

    The notes hold the time of the claim, so that they are the same in every try, and so is the tar. What may have been
    sent to NGAS already and still lies there is not made again. Where the family wants it so, the analyst's report is
    put beside the notes as a file, to which they have a link.

    Args:
        pipeline_run_id: the run (templated).
    """

    def ingest_step(self, work: IngestWork) -> None:
        """Write notes and tar."""
        from srdp.domain.archiving.contents import WEBLOG
        from srdp.domain.archiving.ingest import is_recorded_file, weblog_name
        from srdp.domain.casa.weblog import pack_weblog, write_qa_notes
        from srdp.domain.qa.notes import render_html

        directory = work.directory()
        name = weblog_name(directory)
        sent = [file for file in work.ledger.files_of_ingest(work.ingest) if file.kind == WEBLOG and file.sent_at]
        if sent and is_recorded_file(directory.root, directory.products / name, sent[0]):
            self.log.info("%s may be in NGAS already and is as it was: it is not made again.", name)
            return
        report = self._write_report(work, directory)
        notes = render_html(work.ingest.verdict, when=work.ingest.claimed_at, report=report)
        written = write_qa_notes(directory, notes)
        self.log.info("The QA notes %s.", "are written" if written else "stand there already")
        packed = pack_weblog(directory, name=name)
        self.log.info("%s has %d bytes and the CRC-32 %d", packed.path, packed.size_bytes, packed.crc32)

    @staticmethod
    def _write_report(work: IngestWork, directory: RunDirectory) -> str | None:
        """Put the report that was given into the weblog; return its name there."""
        from srdp.domain.archiving.casa_input import given_record
        from srdp.domain.casa.weblog import write_qa_report

        name = work.contents.report
        if name is None:
            return None
        given = work.ledger.submitted_files(work.run.pipeline_run_id).get(given_record(name, work.ingest.number))
        write_qa_report(directory, name, given.content if given else None)
        return name if given else None
