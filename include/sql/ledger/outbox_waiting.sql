-- What waits to be sent, and for how long the oldest of it does.
SELECT
    count(*) AS mails,
    coalesce(greatest(extract(epoch FROM clock_timestamp() - min(queued_at)), 0), 0)::double precision AS oldest_seconds
FROM mail
WHERE sent_at IS NULL AND pending <> '{}'
