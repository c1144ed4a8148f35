-- Skipped: a request that somebody else is sending at this moment.
SELECT reindex_id, pipeline_run_id, project, attempts, last_error, done_at
FROM reindex_request
WHERE done_at IS NULL AND next_attempt_at <= now()
    AND (%(pipeline_run_id)s::text IS NULL OR pipeline_run_id = %(pipeline_run_id)s)
ORDER BY next_attempt_at, reindex_id
LIMIT 1
FOR UPDATE SKIP LOCKED
