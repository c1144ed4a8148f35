SELECT
    pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, signal, peak_memory_bytes, casa_version,
    pipeline_version, ppr_sha256_before, ppr_sha256_after
FROM casa_attempt
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY attempt
