-- The archive is the authority on project and locator. The update also locks the request until the transaction ends,
-- so that two runs of it are opened one after the other and versions have no gap.
INSERT INTO request (kind, subject, digest, project, locator)
VALUES (%(kind)s, %(subject)s, %(digest)s, %(project)s, %(locator)s)
ON CONFLICT (kind, subject, digest) DO UPDATE SET project = excluded.project, locator = excluded.locator
RETURNING request_id, sealed_at
