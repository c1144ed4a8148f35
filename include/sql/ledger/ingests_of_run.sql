SELECT
    pipeline_run_id, number, claimed_at, tries, dag_id, dag_run_id, requested_by, verdict, committed_at
FROM ingest
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY number
