UPDATE ingest SET committed_at = coalesce(committed_at, now())
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s
