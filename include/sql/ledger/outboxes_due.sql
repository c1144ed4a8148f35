-- The newest that is due of each kind: when another becomes due, or the same is tried again, that can be told from it.
(
    SELECT 'mail' AS kind, mail_id AS number
    FROM mail
    WHERE sent_at IS NULL
        AND pending <> '{}'
        AND next_attempt_at <= now() - make_interval(secs => %(grace_seconds)s)
    ORDER BY mail_id DESC
    LIMIT 1
)
UNION ALL
(
    SELECT 'request' AS kind, reindex_id AS number
    FROM reindex_request
    WHERE %(reindex)s
        AND done_at IS NULL
        AND next_attempt_at <= now() - make_interval(secs => %(grace_seconds)s)
    ORDER BY reindex_id DESC
    LIMIT 1
)
