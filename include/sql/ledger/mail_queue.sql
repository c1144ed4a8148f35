-- The Message-ID is derived from what the mail is about and which mail it is.
INSERT INTO mail (pipeline_run_id, key, message_id, sender, recipients, pending, subject, body_text, body_html)
VALUES (
    %(pipeline_run_id)s, %(key)s, %(message_id)s, %(sender)s, %(recipients)s, %(recipients)s, %(subject)s, %(text)s,
    %(html)s)
ON CONFLICT (message_id) DO NOTHING
