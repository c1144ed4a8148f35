INSERT INTO ingest (pipeline_run_id, number, dag_id, dag_run_id, requested_by, qa_flag, verdict)
SELECT
    %(pipeline_run_id)s, coalesce(max(number), 0) + 1, %(dag_id)s, %(dag_run_id)s, %(requested_by)s, %(qa_flag)s,
    %(verdict)s
FROM ingest
WHERE pipeline_run_id = %(pipeline_run_id)s
