-- The oldest of what was decided to be calibrated, is not known to have been started, and has no run yet.
SELECT eb_name FROM observation
WHERE decision = 'calibrate' AND started_at IS NULL
    AND NOT EXISTS (
        SELECT FROM pipeline_run JOIN request USING (request_id) WHERE kind = %(kind)s AND subject = eb_name
    )
ORDER BY ingested_at, eb_name
LIMIT %(places)s
