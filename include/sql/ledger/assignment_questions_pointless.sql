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
