-- The newest pipeline run that was made for each of these execution blocks, by hand say.
SELECT DISTINCT ON (subject) subject, pipeline_run_id
FROM pipeline_run JOIN request USING (request_id)
WHERE kind = %(kind)s AND subject = ANY(%(names)s)
ORDER BY subject, version DESC
