-- Starts of CASA.

-- name: casa_upsert
-- What is left out now keeps what was recorded before.
INSERT INTO casa_attempt AS recorded (
    pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, signal, peak_memory_bytes, casa_version,
    pipeline_version, ppr_sha256_before, ppr_sha256_after)
VALUES (
    %(pipeline_run_id)s, %(attempt)s, %(job_name)s, %(host)s, %(started_at)s, %(ended_at)s, %(exit_code)s, %(signal)s,
    %(peak_memory_bytes)s, %(casa_version)s, %(pipeline_version)s, %(ppr_sha256_before)s, %(ppr_sha256_after)s)
ON CONFLICT (pipeline_run_id, attempt) DO UPDATE SET
    job_name = coalesce(excluded.job_name, recorded.job_name),
    host = coalesce(excluded.host, recorded.host),
    started_at = coalesce(excluded.started_at, recorded.started_at),
    ended_at = coalesce(excluded.ended_at, recorded.ended_at),
    exit_code = coalesce(excluded.exit_code, recorded.exit_code),
    signal = coalesce(excluded.signal, recorded.signal),
    peak_memory_bytes = coalesce(excluded.peak_memory_bytes, recorded.peak_memory_bytes),
    casa_version = coalesce(excluded.casa_version, recorded.casa_version),
    pipeline_version = coalesce(excluded.pipeline_version, recorded.pipeline_version),
    ppr_sha256_before = coalesce(excluded.ppr_sha256_before, recorded.ppr_sha256_before),
    ppr_sha256_after = coalesce(excluded.ppr_sha256_after, recorded.ppr_sha256_after)

-- name: casa_of_run
SELECT
    pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, signal, peak_memory_bytes, casa_version,
    pipeline_version, ppr_sha256_before, ppr_sha256_after
FROM casa_attempt
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY attempt

-- name: casa_queue
-- Runs whose PPR is written and whose CASA job was never claimed: they wait for a slot of the pool.
SELECT pipeline_run_id, state_since
FROM pipeline_run
WHERE
    state = 'processing' AND ppr_sha256 IS NOT NULL
    AND NOT EXISTS (SELECT FROM casa_attempt WHERE casa_attempt.pipeline_run_id = pipeline_run.pipeline_run_id)
ORDER BY state_since, pipeline_run_id

-- name: casa_without_task
SELECT
    casa_attempt.pipeline_run_id, attempt, job_name, host, started_at, ended_at, exit_code, signal, peak_memory_bytes,
    casa_version, pipeline_version, ppr_sha256_before, ppr_sha256_after
FROM casa_attempt JOIN pipeline_run USING (pipeline_run_id)
WHERE ended_at IS NULL AND state <> 'processing'
ORDER BY casa_attempt.pipeline_run_id, attempt

-- name: casa_job_insert
-- With the run locked, so that each has a number of its own. The same job is asked for once.
INSERT INTO casa_job (pipeline_run_id, number, job)
SELECT %(pipeline_run_id)s, coalesce(max(number), 0) + 1, %(job)s FROM casa_job WHERE pipeline_run_id = %(pipeline_run_id)s
ON CONFLICT (pipeline_run_id, md5(job::text)) DO NOTHING

-- name: casa_jobs_of_run
SELECT job FROM casa_job WHERE pipeline_run_id = %(pipeline_run_id)s ORDER BY number
