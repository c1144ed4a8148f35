SELECT reindex_id, pipeline_run_id, project, attempts, last_error, done_at
FROM reindex_request
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY reindex_id
