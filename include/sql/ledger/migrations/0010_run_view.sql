-- What is asked of a run, in one place: its row and its request's.

CREATE VIEW run AS
SELECT
    pipeline_run_id, request_id, kind, subject, digest AS request_digest, project, locator, version, state, dag_id,
    dag_run_id, requested_by, recipe, cores, memory_gb, failure, ppr_sha256, lowest_score, scores,
    pipeline_run.created_at, state_since, former_run, casa_release, asked, directory_token
FROM pipeline_run JOIN request USING (request_id);
COMMENT ON VIEW run IS 'Each pipeline run with its request. A column is added here and to PipelineRun.';
