UPDATE mail
SET attempts = attempts + 1,
    pending = %(pending)s,
    refused = refused || %(refused)s,
    last_error = %(error)s,
    sent_at = CASE
        WHEN cardinality(%(pending)s::text[]) = 0 AND NOT (refused || %(refused)s) ?& recipients
        THEN clock_timestamp()
    END,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(retry_seconds)s)
WHERE mail_id = %(mail_id)s
