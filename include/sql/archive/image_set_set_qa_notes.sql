-- The QA notes of an image set, and what it belongs to; no row if there is no such image set.
UPDATE image_set
SET qa_notes = %(qa_notes)s
WHERE locator = %(locator)s
RETURNING NULL AS execution_block_locator, mous_uid
