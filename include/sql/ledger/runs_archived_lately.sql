SELECT
    pipeline_run_id, kind, subject, project, locator, version, state, dag_id, dag_run_id, requested_by, recipe, cores,
    memory_gb, failure, ppr_sha256, lowest_score, scores, pipeline_run.created_at, state_since,
    former_run, casa_release, digest AS request_digest, asked, directory_token
FROM pipeline_run JOIN request USING (request_id)
WHERE state = 'archived'
    AND (state_since > now() - make_interval(days => %(days)s) OR pipeline_run_id = ANY(%(also)s))
ORDER BY pipeline_run.created_at, pipeline_run_id
