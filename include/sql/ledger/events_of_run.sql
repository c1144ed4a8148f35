SELECT pipeline_run_id, happened_at, event, details, state_before, state_after
FROM event
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY sequence
