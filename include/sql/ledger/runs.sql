-- Pipeline runs. What is known of one is what the view `run` shows.

-- name: run_by_id
SELECT * FROM run
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: run_by_dag_run
SELECT * FROM run
WHERE dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s

-- name: runs_newest
SELECT * FROM run
ORDER BY created_at DESC, pipeline_run_id DESC
LIMIT %(limit)s

-- name: runs_in_states
SELECT * FROM run
WHERE state = ANY(%(states)s)
ORDER BY created_at, pipeline_run_id

-- name: runs_archived_lately
SELECT * FROM run
WHERE state = 'archived'
    AND (state_since > now() - make_interval(days => %(days)s) OR pipeline_run_id = ANY(%(also)s))
ORDER BY created_at, pipeline_run_id

-- name: runs_of_request
SELECT * FROM run
WHERE kind = %(kind)s AND subject = %(subject)s AND request_digest = %(digest)s
ORDER BY version

-- name: runs_of_requests
-- Locked by their requests, see request_lock.
SELECT * FROM run
WHERE request_id = ANY(%(request_ids)s)
ORDER BY request_id, version
FOR UPDATE

-- name: runs_of_subject
SELECT * FROM run
WHERE kind = %(kind)s AND subject = %(subject)s
ORDER BY created_at, pipeline_run_id

-- name: runs_of_project
SELECT * FROM run
WHERE kind = %(kind)s AND project = %(project)s
ORDER BY subject, version

-- name: run_of_request_in_states
SELECT * FROM run
WHERE kind = %(kind)s AND subject = %(subject)s AND request_digest = %(digest)s AND state = ANY(%(states)s)

-- name: reruns_taking_raw_data
-- With the run locked: a transaction that opens a rerun of it locks it too, so that neither misses the other.
SELECT pipeline_run_id, state
FROM pipeline_run
WHERE former_run = %(pipeline_run_id)s AND state = ANY(%(states)s)
ORDER BY pipeline_run_id

-- name: runs_counted
-- How many runs are in each state, and for how long the one that has been in it for longest.
SELECT
    split_part(pipeline_run_id, '-', 1) AS family,
    state,
    count(*) AS runs,
    greatest(extract(epoch FROM clock_timestamp() - min(state_since)), 0)::double precision AS oldest_seconds
FROM pipeline_run
WHERE state <> 'cleaned'
GROUP BY 1, 2

-- name: run_insert
INSERT INTO pipeline_run (
    pipeline_run_id, request_id, version, state, dag_id, dag_run_id, requested_by, recipe, cores, memory_gb,
    former_run, casa_release, asked)
SELECT
    %(pipeline_run_id)s, %(request_id)s, coalesce(max(version), 0) + 1, 'created', %(dag_id)s, %(dag_run_id)s,
    %(requested_by)s, %(recipe)s, %(cores)s, %(memory_gb)s, %(former_run)s, %(casa_release)s, %(asked)s
FROM pipeline_run
WHERE request_id = %(request_id)s

-- name: run_lock
SELECT state FROM pipeline_run WHERE pipeline_run_id = %(pipeline_run_id)s FOR UPDATE

-- name: run_set_state
-- Why a run failed stays with it, until its ingest is tried again or is given up.
UPDATE pipeline_run
SET state = %(state)s,
    state_since = now(),
    left_pipeline_at = CASE
        WHEN state IN ('created', 'fetching', 'processing') AND %(state)s::text NOT IN ('created', 'fetching', 'processing')
        THEN now()
        ELSE left_pipeline_at
    END,
    rejected_at = CASE WHEN %(state)s::text = 'rejected' THEN now() ELSE rejected_at END,
    failure = CASE
        WHEN %(state)s::text IN ('ingesting', 'archived', 'awaiting_qa') THEN NULL
        ELSE coalesce(%(failure)s, failure)
    END
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: run_set_ppr
UPDATE pipeline_run SET ppr_sha256 = %(sha256)s WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: run_set_scores
UPDATE pipeline_run
SET lowest_score = %(lowest)s, scores = %(scores)s
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: run_set_engine
UPDATE pipeline_run SET engine = coalesce(engine, %(engine)s) WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: run_set_mous
UPDATE pipeline_run SET mous = coalesce(mous, %(mous)s) WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: run_set_proved
UPDATE pipeline_run SET is_proved = %(is_proved)s WHERE pipeline_run_id = %(pipeline_run_id)s
