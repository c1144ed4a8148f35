-- Locked by their requests, see request_lock.
SELECT
    pipeline_run_id, kind, subject, project, locator, version, state, dag_id, dag_run_id, requested_by, recipe, cores,
    memory_gb, failure, ppr_sha256, lowest_score, scores, pipeline_run.created_at, state_since,
    former_run, casa_release, digest AS request_digest, asked, directory_token,
    request_id
FROM pipeline_run JOIN request USING (request_id)
WHERE request_id = ANY(%(request_ids)s)
ORDER BY request_id, version
FOR UPDATE OF pipeline_run
