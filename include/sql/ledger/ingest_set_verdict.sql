UPDATE ingest SET qa_flag = %(qa_flag)s, verdict = %(verdict)s
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL
