UPDATE cached_measurement_set SET removed_at = coalesce(removed_at, now())
WHERE pipeline_run_id = %(pipeline_run_id)s
