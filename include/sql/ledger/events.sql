-- What happened to runs.

-- name: event_insert
-- The writer makes event_id before its first try: a transaction whose commit was not answered can be repeated.
INSERT INTO event (event_id, pipeline_run_id, event, details, state_before, state_after)
VALUES (%(event_id)s, %(pipeline_run_id)s, %(event)s, %(details)s, %(state_before)s, %(state_after)s)
ON CONFLICT (event_id) DO NOTHING

-- name: events_of_run
SELECT pipeline_run_id, happened_at, event, details, state_before, state_after
FROM event
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY sequence

-- name: rejections
SELECT pipeline_run_id, happened_at, event, details, state_before, state_after
FROM event
WHERE event = 'rejected' AND pipeline_run_id = ANY(%(pipeline_run_ids)s)
ORDER BY sequence
