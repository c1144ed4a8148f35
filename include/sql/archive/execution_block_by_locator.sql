-- One execution block; no row if there is none with this locator.
SELECT locator, name, project_code, telescope, calibration_status, observed_start, observed_end, ingested_at
FROM execution_block
WHERE locator = %(wanted)s
