SELECT
    mail_id, pipeline_run_id, key, message_id, sender, recipients, pending, refused, subject, body_text AS text,
    body_html AS html, queued_at, attempts, sent_at
FROM mail
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY mail_id
