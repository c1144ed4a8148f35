INSERT INTO given_file (pipeline_run_id, name, source, sha256, content)
VALUES (%(pipeline_run_id)s, %(name)s, %(source)s, %(sha256)s, %(content)s)
ON CONFLICT (pipeline_run_id, name) DO UPDATE
SET source = excluded.source, sha256 = excluded.sha256, content = excluded.content
