-- How many calibrations are under way to their delivery, and how many were started a moment ago and have no run yet.
-- What has none for long was refused, or waits for something that is away: it keeps no place.
SELECT
    (
        SELECT count(*) FROM pipeline_run JOIN request USING (request_id)
        WHERE kind = %(kind)s AND state IN ('created', 'fetching', 'processing')
    ) + (
        SELECT count(*) FROM observation
        WHERE decision = 'calibrate' AND started_at > now() - %(minutes)s * interval '1 minute'
            AND NOT EXISTS (
                SELECT FROM pipeline_run JOIN request USING (request_id) WHERE kind = %(kind)s AND subject = eb_name
            )
    ) AS under_way
