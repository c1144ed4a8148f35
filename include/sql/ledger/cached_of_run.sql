SELECT pipeline_run_id, path, cached_at, expires_at, removed_at
FROM cached_measurement_set
WHERE pipeline_run_id = %(pipeline_run_id)s
