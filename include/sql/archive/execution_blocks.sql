-- Execution blocks: which there are, which are new, and whether they are calibrated.

-- name: execution_block_by_name
-- One execution block; no row if there is none with this name.
SELECT locator, name, project_code, telescope, calibration_status, observed_start, observed_end, ingested_at
FROM execution_block
WHERE name = %(wanted)s

-- name: execution_block_by_locator
-- One execution block; no row if there is none with this locator.
SELECT locator, name, project_code, telescope, calibration_status, observed_start, observed_end, ingested_at
FROM execution_block
WHERE locator = %(wanted)s

-- name: ingested_since
-- Everything that came into the archive at or after a time, system SDMs and what is not to be calibrated included.
SELECT locator, name, calibration_status, ingested_at
FROM execution_block
WHERE ingested_at >= %(since)s
ORDER BY ingested_at, name

-- name: ingested_between
-- The first rows after one time and not after another. All that share the last row's time come with it, so that the
-- next question can begin after that time.
SELECT locator, name, calibration_status, ingested_at
FROM execution_block
WHERE ingested_at > %(after)s AND ingested_at <= %(until)s
ORDER BY ingested_at
FETCH FIRST %(at_least)s ROWS WITH TIES

-- name: clock
-- The clock that ingested_at is set by.
SELECT clock_timestamp() AS now

-- name: set_calibration_status
-- The status of an execution block; one row if there is one with this locator, whatever its status was, else none.
UPDATE execution_block
SET calibration_status = %(status)s
WHERE locator = %(locator)s
RETURNING locator
