SELECT pipeline_run_id, path, cached_at, expires_at, removed_at
FROM cached_measurement_set
WHERE removed_at IS NULL
ORDER BY cached_at, pipeline_run_id
