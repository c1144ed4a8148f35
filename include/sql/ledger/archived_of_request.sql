SELECT pipeline_run_id
FROM ingest JOIN pipeline_run USING (pipeline_run_id) JOIN request USING (request_id)
WHERE kind = %(kind)s AND subject = %(subject)s AND digest = %(digest)s AND committed_at IS NOT NULL AND withdrawn_at IS NULL
ORDER BY version
