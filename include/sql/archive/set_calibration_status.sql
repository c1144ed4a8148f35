-- The status of an execution block; one row if there is one with this locator, whatever its status was, else none.
UPDATE execution_block
SET calibration_status = %(status)s
WHERE locator = %(locator)s
RETURNING locator
