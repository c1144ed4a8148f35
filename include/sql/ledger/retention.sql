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

-- name: expired_by_dag_run
-- What a DAG run has removed because it had expired, in any of its tries: begun, and since then seen to be gone.
SELECT pipeline_run_id, event.event, event.details
FROM event JOIN pipeline_run USING (pipeline_run_id) LEFT JOIN cached_measurement_set USING (pipeline_run_id)
WHERE event.details ->> 'dag_run_id' = %(dag_run_id)s
    AND (
        (event.event = %(run_event)s AND pipeline_run.state = 'cleaned')
        OR (event.event = %(cached_event)s AND cached_measurement_set.removed_at IS NOT NULL)
    )
ORDER BY event.sequence
