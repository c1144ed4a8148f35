SELECT
    casa_attempt.pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, signal, peak_memory_bytes,
    casa_version, pipeline_version, ppr_sha256_before, ppr_sha256_after
FROM casa_attempt JOIN pipeline_run USING (pipeline_run_id)
WHERE ended_at IS NULL AND state <> 'processing'
ORDER BY casa_attempt.pipeline_run_id, attempt
