UPDATE reindex_request
SET attempts = attempts + 1,
    last_error = %(error)s,
    done_at = CASE WHEN %(error)s::text IS NULL THEN now() END,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(retry_seconds)s)
WHERE reindex_id = %(reindex_id)s
