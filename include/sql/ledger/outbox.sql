-- What waits to be sent: mails, reminders, and requests to the archive to index a project again.

-- name: outbox_queue_mail
-- The Message-ID is derived from what the mail is about and which mail it is. A reminder is of an assignment.
INSERT INTO outbox (
    kind, pipeline_run_id, key, message_id, sender, recipients, pending, subject, body_text, body_html, assignment_number)
VALUES (
    CASE WHEN %(assignment_number)s::integer IS NULL THEN 'mail' ELSE 'reminder' END, %(pipeline_run_id)s, %(key)s,
    %(message_id)s, %(sender)s, %(recipients)s, %(recipients)s, %(subject)s, %(text)s, %(html)s, %(assignment_number)s)
ON CONFLICT DO NOTHING

-- name: outbox_queue_reindex
INSERT INTO outbox (kind, pipeline_run_id, key, project)
VALUES ('reindex', %(pipeline_run_id)s, %(key)s, %(project)s)
ON CONFLICT DO NOTHING

-- name: outbox_claim
-- The lock is held while it is sent: a second drain skips the row instead of sending it too. What failed lately comes
-- after what did not, so that a bad one holds up nobody.
SELECT
    outbox_id, pipeline_run_id, key, message_id, sender, recipients, pending, refused, subject, body_text AS text,
    body_html AS html, project, queued_at, attempts, last_error, done_at
FROM outbox
WHERE is_waiting
    AND kind = ANY(%(kinds)s)
    AND next_attempt_at <= now()
    AND (%(pipeline_run_id)s::text IS NULL OR pipeline_run_id = %(pipeline_run_id)s)
ORDER BY next_attempt_at, outbox_id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: outbox_tried
-- A mail is done when nobody is pending and not everybody is given up, a request when there was no error.
UPDATE outbox
SET attempts = attempts + 1,
    last_error = %(error)s,
    pending = %(pending)s,
    refused = refused || %(refused)s,
    done_at = CASE
        WHEN kind = 'reindex' AND %(error)s::text IS NULL THEN clock_timestamp()
        WHEN kind <> 'reindex' AND cardinality(%(pending)s::text[]) = 0 AND NOT (refused || %(refused)s) ?& recipients
        THEN clock_timestamp()
    END,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(retry_seconds)s)
WHERE outbox_id = %(outbox_id)s

-- name: outbox_of_run
SELECT
    outbox_id, pipeline_run_id, key, message_id, sender, recipients, pending, refused, subject, body_text AS text,
    body_html AS html, project, queued_at, attempts, last_error, done_at
FROM outbox
WHERE pipeline_run_id = %(pipeline_run_id)s AND kind = ANY(%(kinds)s)
ORDER BY outbox_id

-- name: outbox_report
UPDATE outbox SET reported_at = now(), reported_for_all = %(for_all)s WHERE outbox_id = %(outbox_id)s AND reported_at IS NULL

-- name: outbox_reported_for_all
-- Requests that still wait, and whose report says that the archive takes those of no project.
SELECT outbox_id FROM outbox WHERE is_waiting AND reported_for_all LIMIT 1

-- name: outbox_waiting
-- What waits to be sent, and for how long the oldest mail does.
SELECT
    count(*) FILTER (WHERE kind <> 'reindex') AS mails,
    count(*) FILTER (WHERE kind = 'reindex') AS requests,
    coalesce(
        greatest(extract(epoch FROM clock_timestamp() - min(queued_at) FILTER (WHERE kind <> 'reindex')), 0), 0
    )::double precision AS oldest_seconds
FROM outbox
WHERE is_waiting

-- name: outbox_due
-- The newest that is due of each: when another becomes due, or the same is tried again, that can be seen from it.
SELECT CASE kind WHEN 'reindex' THEN 'request' ELSE 'mail' END AS kind, max(outbox_id) AS number
FROM outbox
WHERE is_waiting
    AND (kind <> 'reindex' OR %(reindex)s)
    AND next_attempt_at <= now() - make_interval(secs => %(grace_seconds)s)
GROUP BY 1

-- name: mail_server_away
SELECT
    since, last_error, clock_timestamp() - since AS lasts,
    (SELECT count(*) FROM outbox WHERE is_waiting AND kind <> 'reindex') AS waiting
FROM mail_server_away

-- name: mail_server_away_upsert
-- It is away since it was first found to be.
INSERT INTO mail_server_away (last_error) VALUES (%(error)s)
ON CONFLICT (the_only_row) DO UPDATE SET last_error = excluded.last_error

-- name: mail_server_answers
DELETE FROM mail_server_away
