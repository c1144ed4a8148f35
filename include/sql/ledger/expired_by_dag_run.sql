-- What a DAG run has removed because it had expired, in any of its tries: begun, and since then seen to be gone.
SELECT pipeline_run_id, event.event, event.details
FROM event JOIN pipeline_run USING (pipeline_run_id) LEFT JOIN cached_measurement_set USING (pipeline_run_id)
WHERE event.details ->> 'dag_run_id' = %(dag_run_id)s
    AND (
        (event.event = %(run_event)s AND pipeline_run.state = 'cleaned')
        OR (event.event = %(cached_event)s AND cached_measurement_set.removed_at IS NOT NULL)
    )
ORDER BY event.sequence
