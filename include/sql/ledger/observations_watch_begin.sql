-- Only the first start counts; no row is returned if there was one before.
INSERT INTO observation_watch (name, first_started_at, watermark)
VALUES (%(name)s, %(first_started_at)s, %(watermark)s)
ON CONFLICT (name) DO NOTHING
RETURNING name
