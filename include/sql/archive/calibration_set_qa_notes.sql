-- The QA notes of a calibration, and what it belongs to; no row if there is no such calibration.
UPDATE calibration
SET qa_notes = %(qa_notes)s
WHERE locator = %(locator)s
RETURNING execution_block_locator, mous_uid
