-- Requests: what is asked for, which runs of it there are, and whether it is sealed.

-- name: request_upsert
-- The archive is the authority on project and locator. The update also locks the request until the transaction ends,
-- so that two runs of it are opened one after the other and versions have no gap.
INSERT INTO request (kind, subject, digest, project, locator)
VALUES (%(kind)s, %(subject)s, %(digest)s, %(project)s, %(locator)s)
ON CONFLICT (kind, subject, digest) DO UPDATE SET project = excluded.project, locator = excluded.locator
RETURNING request_id, sealed_at

-- name: request_by_key
SELECT request_id, sealed_at FROM request WHERE kind = %(kind)s AND subject = %(subject)s AND digest = %(digest)s

-- name: request_lock
-- Transactions that open, archive or reject runs of a request lock its row first, so that they wait for each other.
SELECT request_id, kind, subject, project, sealed_at
FROM request
WHERE request_id IN (SELECT request_id FROM pipeline_run WHERE pipeline_run_id = ANY(%(pipeline_run_ids)s))
ORDER BY request_id
FOR UPDATE

-- name: request_seal
UPDATE request SET sealed_at = coalesce(sealed_at, now())
WHERE request_id = %(request_id)s

-- name: request_seal_again
-- What a reopening was for has failed: the request is sealed as before, unless another run of it continues or was
-- archived since. Of one that was never reopened nothing changes.
UPDATE request
SET sealed_at = reopened_from
WHERE request_id = (SELECT request_id FROM pipeline_run WHERE pipeline_run_id = %(pipeline_run_id)s)
    AND sealed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM pipeline_run WHERE pipeline_run.request_id = request.request_id AND state = ANY(%(going_on)s)
    )

-- name: request_archived
-- A run of it was archived: a reopening before that is over.
UPDATE request SET reopened_from = NULL WHERE request_id = %(request_id)s

-- name: request_unseal
UPDATE request SET sealed_at = NULL, reopened_from = sealed_at WHERE request_id = %(request_id)s

-- name: archived_of_request
SELECT pipeline_run_id
FROM ingest JOIN pipeline_run USING (pipeline_run_id) JOIN request USING (request_id)
WHERE kind = %(kind)s AND subject = %(subject)s AND digest = %(digest)s AND committed_at IS NOT NULL AND withdrawn_at IS NULL
ORDER BY version
