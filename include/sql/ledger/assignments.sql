-- Who reviews which run, and who is being asked for it.

-- name: assignment_insert
INSERT INTO assignment (pipeline_run_id, number, data_analyst, assigned_by, answer)
VALUES (%(pipeline_run_id)s, %(number)s, %(data_analyst)s, %(assigned_by)s, %(answer)s)
RETURNING pipeline_run_id, number, data_analyst, assigned_by, assigned_at

-- name: assignments_of_run
SELECT pipeline_run_id, number, data_analyst, assigned_by, assigned_at, answer
FROM assignment
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY number

-- name: assignment_waiting
-- That there is a reminder, and when it was queued, is in the outbox.
SELECT run.*, given.number, given.data_analyst, given.assigned_by, given.assigned_at, sent.reminders, sent.reminded_at
FROM run
    LEFT JOIN LATERAL (
        SELECT number, data_analyst, assigned_by, assigned_at
        FROM assignment
        WHERE assignment.pipeline_run_id = run.pipeline_run_id
        ORDER BY number DESC
        LIMIT 1
    ) AS given ON true
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS reminders, max(queued_at) AS reminded_at
        FROM outbox
        WHERE kind = 'reminder' AND outbox.pipeline_run_id = run.pipeline_run_id
            AND assignment_number = coalesce(given.number, 0)
    ) AS sent
WHERE state = 'awaiting_qa'
    AND kind = ANY(%(kinds)s)
    AND (%(pipeline_run_id)s::text IS NULL OR run.pipeline_run_id = %(pipeline_run_id)s)
ORDER BY state_since, run.pipeline_run_id

-- name: assignment_question_open
-- Asked again after it was closed it is a new question; asked again by a task that was killed it is the same.
INSERT INTO assignment_question AS question (dag_id, dag_run_id, pipeline_run_id)
VALUES (%(dag_id)s, %(dag_run_id)s, %(pipeline_run_id)s)
ON CONFLICT (dag_id, dag_run_id) DO UPDATE
SET asked_at = CASE WHEN question.closed_at IS NULL THEN question.asked_at ELSE now() END,
    closed_at = NULL

-- name: assignment_question_close
UPDATE assignment_question
SET closed_at = now()
WHERE dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s AND closed_at IS NULL

-- name: assignment_question_of_dag_run
SELECT pipeline_run_id, asked_at, closed_at
FROM assignment_question
WHERE dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s

-- name: assignment_questions_pointless
-- Nobody needs an answer: the run does not await its verdict any more, or was assigned by another answer since.
SELECT question.pipeline_run_id, question.dag_id, question.dag_run_id, question.asked_at
FROM assignment_question AS question JOIN pipeline_run USING (pipeline_run_id)
WHERE question.closed_at IS NULL
    AND (
        state <> 'awaiting_qa'
        OR EXISTS (
            SELECT FROM assignment
            WHERE assignment.pipeline_run_id = question.pipeline_run_id AND assigned_at > question.asked_at))
ORDER BY question.asked_at, question.dag_run_id

-- name: assignment_confirm
INSERT INTO assignment_confirmation (pipeline_run_id, answer, number)
VALUES (%(pipeline_run_id)s, %(answer)s, %(number)s)

-- name: assignment_is_confirmed
SELECT 1 AS there FROM assignment_confirmation WHERE pipeline_run_id = %(pipeline_run_id)s AND answer = %(answer)s
