-- Verdicts on archived runs that became others, and what failed QA did to execution blocks.

-- name: verdict_change_insert
INSERT INTO verdict_change (pipeline_run_id, number, changed_by, changes, dag_id, dag_run_id)
SELECT
    %(pipeline_run_id)s, coalesce(max(number), 0) + 1, %(changed_by)s, %(changes)s, %(dag_id)s, %(dag_run_id)s
FROM verdict_change
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: verdict_changes_of_run
SELECT pipeline_run_id, number, changed_at, changed_by, changes, dag_id, dag_run_id, written_at
FROM verdict_change
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY number

-- name: verdict_changes_written
UPDATE verdict_change SET written_at = now()
WHERE pipeline_run_id = %(pipeline_run_id)s AND number <= %(number)s AND written_at IS NULL

-- name: verdicts_due
SELECT DISTINCT pipeline_run_id
FROM pipeline_run JOIN verdict_change USING (pipeline_run_id)
WHERE state = 'archived' AND written_at IS NULL
ORDER BY pipeline_run_id

-- name: mark_settle
INSERT INTO execution_block_mark AS mark (pipeline_run_id, settled_at, kept_because)
VALUES (%(pipeline_run_id)s, now(), %(kept_because)s)
ON CONFLICT (pipeline_run_id) DO UPDATE SET settled_at = excluded.settled_at, kept_because = excluded.kept_because
WHERE mark.settled_at IS NULL

-- name: mark_set_back
INSERT INTO execution_block_mark AS mark (pipeline_run_id, set_back_at) VALUES (%(pipeline_run_id)s, now())
ON CONFLICT (pipeline_run_id) DO UPDATE SET set_back_at = excluded.set_back_at
WHERE mark.set_back_at IS NULL

-- name: mark_is_settled
SELECT 1 AS there FROM execution_block_mark WHERE pipeline_run_id = %(pipeline_run_id)s AND settled_at IS NOT NULL

-- name: request_failed_qa
-- Whether a run of the request failed QA, and no rerun has set the execution block back since.
SELECT coalesce(max(rejected_at) >= coalesce(max(set_back_at), '-infinity'), false) AS failed
FROM run LEFT JOIN execution_block_mark USING (pipeline_run_id)
WHERE kind = %(kind)s AND subject = %(subject)s AND request_digest = %(digest)s
