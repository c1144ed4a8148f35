-- A decision is made once. The backlog alone may take up what was left alone as history: it names that reason.
INSERT INTO observation (eb_name, locator, ingested_at, decision, reason)
VALUES (%(eb_name)s, %(locator)s, %(ingested_at)s, %(decision)s, %(reason)s)
ON CONFLICT (eb_name) DO UPDATE SET decision = excluded.decision, reason = excluded.reason, noticed_at = now()
    WHERE observation.reason = %(replaced_reason)s
RETURNING eb_name
