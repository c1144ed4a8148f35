-- The first rows after one time and not after another. All that share the last row's time come with it, so that the
-- next question can begin after that time.
SELECT locator, name, calibration_status, ingested_at
FROM execution_block
WHERE ingested_at > %(after)s AND ingested_at <= %(until)s
ORDER BY ingested_at
FETCH FIRST %(at_least)s ROWS WITH TIES
