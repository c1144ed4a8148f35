UPDATE assignment_question
SET closed_at = now()
WHERE dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s AND closed_at IS NULL
