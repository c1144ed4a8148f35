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
