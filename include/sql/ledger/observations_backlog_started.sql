-- How many of the backlog were started in the last 24 hours, or are about to be.
SELECT count(*) AS started FROM observation
WHERE decision = 'calibrate' AND ingested_at <= %(first_started_at)s
    AND (started_at IS NULL OR started_at > now() - interval '24 hours')
