-- What is kept for how long, and what has expired.

-- name: retention_set
INSERT INTO retention (kind, days) VALUES (%(kind)s, %(days)s)
ON CONFLICT (kind) DO UPDATE SET days = excluded.days, set_at = now()

-- name: retention_in_force
SELECT kind, days FROM retention ORDER BY kind

-- name: cached_insert
INSERT INTO cached_measurement_set (pipeline_run_id, path, expires_at)
VALUES (%(pipeline_run_id)s, %(path)s, %(expires_at)s)
ON CONFLICT (pipeline_run_id) DO NOTHING

-- name: cached_of_run
SELECT pipeline_run_id, path, cached_at, expires_at, removed_at
FROM cached_measurement_set
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: cached_there
SELECT pipeline_run_id, path, cached_at, expires_at, removed_at
FROM cached_measurement_set
WHERE removed_at IS NULL
ORDER BY cached_at, pipeline_run_id

-- name: cached_removed
UPDATE cached_measurement_set SET removed_at = coalesce(removed_at, now())
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: expiry_begin
-- What was recorded first stays: when a removal that was killed is gone on with, there is less left to be measured.
INSERT INTO expiry (pipeline_run_id, what, dag_run_id, kind, subject, since, expires_at, size_bytes)
VALUES (
    %(pipeline_run_id)s, %(what)s, %(dag_run_id)s, %(kind)s, %(subject)s, %(since)s, %(expires_at)s, %(size_bytes)s)
ON CONFLICT (pipeline_run_id, what, dag_run_id) DO NOTHING

-- name: expiry_began
SELECT 1 AS there FROM expiry WHERE pipeline_run_id = %(pipeline_run_id)s AND what = 'directory' LIMIT 1

-- name: expired_by_dag_run
-- What a DAG run has removed because it had expired, in any of its tries: begun, and since then seen to be gone.
SELECT expiry.kind, pipeline_run_id, expiry.subject, since, expiry.expires_at, size_bytes
FROM expiry JOIN pipeline_run USING (pipeline_run_id) LEFT JOIN cached_measurement_set USING (pipeline_run_id)
WHERE expiry.dag_run_id = %(dag_run_id)s
    AND (
        (what = 'directory' AND state = 'cleaned')
        OR (what = 'measurement set' AND cached_measurement_set.removed_at IS NOT NULL)
    )
ORDER BY expiry.number

-- name: own_files_named
INSERT INTO own_files_notice (pipeline_run_id, digest) VALUES (%(pipeline_run_id)s, %(digest)s)
ON CONFLICT (pipeline_run_id, digest) DO NOTHING

-- name: own_files_named_at
SELECT named_at FROM own_files_notice WHERE pipeline_run_id = %(pipeline_run_id)s AND digest = %(digest)s
