SELECT pipeline_run_id, asked_at, closed_at
FROM assignment_question
WHERE dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s
