-- Whoever opens, archives or rejects runs of a request holds its row first, so that they wait for each other.
SELECT request_id, kind, subject, project, sealed_at
FROM request
WHERE request_id IN (SELECT request_id FROM pipeline_run WHERE pipeline_run_id = ANY(%(pipeline_run_ids)s))
ORDER BY request_id
FOR UPDATE
