INSERT INTO cached_measurement_set (pipeline_run_id, path, expires_at)
VALUES (%(pipeline_run_id)s, %(path)s, %(expires_at)s)
ON CONFLICT (pipeline_run_id) DO NOTHING
