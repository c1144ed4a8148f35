INSERT INTO reindex_request (pipeline_run_id, key, project)
VALUES (%(pipeline_run_id)s, %(key)s, %(project)s)
ON CONFLICT (pipeline_run_id, key) DO NOTHING
