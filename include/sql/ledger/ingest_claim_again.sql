UPDATE ingest
SET tries = tries + 1, dag_id = %(dag_id)s, dag_run_id = %(dag_run_id)s, requested_by = %(requested_by)s
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL
