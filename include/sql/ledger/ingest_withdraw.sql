UPDATE ingest SET withdrawn_at = now()
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL
