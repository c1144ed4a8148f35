-- Why a run failed stays with it, until its ingest is tried again or is given up.
UPDATE pipeline_run
SET state = %(state)s,
    state_since = now(),
    failure = CASE
        WHEN %(state)s::text IN ('ingesting', 'archived', 'awaiting_qa') THEN NULL
        ELSE coalesce(%(failure)s, failure)
    END
WHERE pipeline_run_id = %(pipeline_run_id)s
