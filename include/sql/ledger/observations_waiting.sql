-- How many calibrations were decided and are not started.
SELECT count(*) AS waiting FROM observation WHERE decision = 'calibrate' AND started_at IS NULL
