-- What was decided to be calibrated and is not known to have been started, oldest first.
SELECT eb_name FROM observation
WHERE decision = 'calibrate' AND started_at IS NULL
ORDER BY ingested_at, eb_name
