-- One image set; no row if there is none with this locator.
SELECT locator, NULL AS execution_block_locator, mous_uid, casa_version, pipeline_version, qa_notes, ingested_at
FROM image_set
WHERE locator = %(locator)s
