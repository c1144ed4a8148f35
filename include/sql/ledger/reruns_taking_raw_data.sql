-- With the run locked: whoever opens a rerun of it locks it too, so that neither misses the other.
SELECT pipeline_run_id, state
FROM pipeline_run
WHERE former_run = %(pipeline_run_id)s AND state = ANY(%(states)s)
ORDER BY pipeline_run_id
