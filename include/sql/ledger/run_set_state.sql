UPDATE pipeline_run
SET state = %(state)s, state_since = now(), failure = coalesce(%(failure)s, failure)
WHERE pipeline_run_id = %(pipeline_run_id)s
