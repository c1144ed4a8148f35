INSERT INTO pipeline_run (
    pipeline_run_id, request_id, version, state, dag_id, dag_run_id, requested_by, recipe, cores, memory_gb,
    former_run, casa_release, asked)
SELECT
    %(pipeline_run_id)s, %(request_id)s, coalesce(max(version), 0) + 1, 'created', %(dag_id)s, %(dag_run_id)s,
    %(requested_by)s, %(recipe)s, %(cores)s, %(memory_gb)s, %(former_run)s, %(casa_release)s, %(asked)s
FROM pipeline_run
WHERE request_id = %(request_id)s
