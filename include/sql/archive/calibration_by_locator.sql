-- One calibration; no row if there is none with this locator.
SELECT locator, execution_block_locator, mous_uid, casa_version, pipeline_version, qa_notes, ingested_at
FROM calibration
WHERE locator = %(locator)s
