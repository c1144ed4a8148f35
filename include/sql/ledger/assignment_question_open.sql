-- Asked again after it was closed it is a new question; asked again by a task that was killed it is the same.
INSERT INTO assignment_question AS question (dag_id, dag_run_id, pipeline_run_id)
VALUES (%(dag_id)s, %(dag_run_id)s, %(pipeline_run_id)s)
ON CONFLICT (dag_id, dag_run_id) DO UPDATE
SET asked_at = CASE WHEN question.closed_at IS NULL THEN question.asked_at ELSE now() END,
    closed_at = NULL
