SELECT pipeline_run_id, happened_at, event, details, state_before, state_after
FROM event
WHERE event = 'rejected' AND pipeline_run_id = ANY(%(pipeline_run_ids)s)
ORDER BY sequence
