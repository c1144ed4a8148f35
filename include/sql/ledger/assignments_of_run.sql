SELECT pipeline_run_id, number, data_analyst, assigned_by, assigned_at, answer
FROM assignment
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY number
