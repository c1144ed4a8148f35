INSERT INTO assignment (pipeline_run_id, number, data_analyst, assigned_by, answer)
VALUES (%(pipeline_run_id)s, %(number)s, %(data_analyst)s, %(assigned_by)s, %(answer)s)
RETURNING pipeline_run_id, number, data_analyst, assigned_by, assigned_at
