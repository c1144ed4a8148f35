-- What waits to be sent: mails, and requests to the archive to index a project again.

-- name: mail_queue
-- The Message-ID is derived from what the mail is about and which mail it is.
INSERT INTO mail (pipeline_run_id, key, message_id, sender, recipients, pending, subject, body_text, body_html)
VALUES (
    %(pipeline_run_id)s, %(key)s, %(message_id)s, %(sender)s, %(recipients)s, %(recipients)s, %(subject)s, %(text)s,
    %(html)s)
ON CONFLICT (message_id) DO NOTHING

-- name: mail_claim
-- The lock is held while the mail is sent: a second drain skips the row instead of sending it too. A mail that
-- failed lately comes after those that did not, so that a bad one holds up nobody.
SELECT
    mail_id, pipeline_run_id, key, message_id, sender, recipients, pending, refused, subject, body_text AS text,
    body_html AS html, queued_at, attempts, sent_at
FROM mail
WHERE sent_at IS NULL
    AND pending <> '{}'
    AND next_attempt_at <= now()
    AND (%(pipeline_run_id)s::text IS NULL OR pipeline_run_id = %(pipeline_run_id)s)
ORDER BY next_attempt_at, mail_id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: mail_tried
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

-- name: mails_of_run
SELECT
    mail_id, pipeline_run_id, key, message_id, sender, recipients, pending, refused, subject, body_text AS text,
    body_html AS html, queued_at, attempts, sent_at
FROM mail
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY mail_id

-- name: mail_server_away
SELECT
    since, last_error, clock_timestamp() - since AS lasts,
    (SELECT count(*) FROM mail WHERE sent_at IS NULL AND pending <> '{}') AS waiting
FROM mail_server_away

-- name: mail_server_away_upsert
-- It is away since it was first found to be.
INSERT INTO mail_server_away (last_error) VALUES (%(error)s)
ON CONFLICT (the_only_row) DO UPDATE SET last_error = excluded.last_error

-- name: mail_server_answers
DELETE FROM mail_server_away

-- name: reindex_queue
INSERT INTO reindex_request (pipeline_run_id, key, project)
VALUES (%(pipeline_run_id)s, %(key)s, %(project)s)
ON CONFLICT (pipeline_run_id, key) DO NOTHING

-- name: reindex_claim
-- Skipped: a request that somebody else is sending at this moment.
SELECT reindex_id, pipeline_run_id, project, attempts, last_error, done_at
FROM reindex_request
WHERE done_at IS NULL AND next_attempt_at <= now()
    AND (%(pipeline_run_id)s::text IS NULL OR pipeline_run_id = %(pipeline_run_id)s)
ORDER BY next_attempt_at, reindex_id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: reindex_tried
UPDATE reindex_request
SET attempts = attempts + 1,
    last_error = %(error)s,
    done_at = CASE WHEN %(error)s::text IS NULL THEN now() END,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(retry_seconds)s)
WHERE reindex_id = %(reindex_id)s

-- name: reindex_of_run
SELECT reindex_id, pipeline_run_id, project, attempts, last_error, done_at
FROM reindex_request
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY reindex_id

-- name: reindex_told
-- Requests that still wait and of which it was told that the archive takes none, of whatever project.
SELECT reindex_id
FROM reindex_request JOIN event USING (pipeline_run_id)
WHERE done_at IS NULL AND event = 'reindex_not_taken' AND (details ->> 'for_all')::boolean
LIMIT 1

-- name: reindex_waiting
SELECT count(*) AS requests FROM reindex_request WHERE done_at IS NULL

-- name: outbox_waiting
-- What waits to be sent, and for how long the oldest of it does.
SELECT
    count(*) AS mails,
    coalesce(greatest(extract(epoch FROM clock_timestamp() - min(queued_at)), 0), 0)::double precision AS oldest_seconds
FROM mail
WHERE sent_at IS NULL AND pending <> '{}'

-- name: outboxes_due
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
