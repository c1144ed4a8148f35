-- What is not given now keeps what was recorded before.
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
