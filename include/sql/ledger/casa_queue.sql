-- Runs whose PPR is written and whose CASA job was never claimed: they wait for a slot of the pool.
SELECT pipeline_run_id, state_since
FROM pipeline_run
WHERE
    state = 'processing' AND ppr_sha256 IS NOT NULL
    AND NOT EXISTS (SELECT FROM casa_attempt WHERE casa_attempt.pipeline_run_id = pipeline_run.pipeline_run_id)
ORDER BY state_since, pipeline_run_id
