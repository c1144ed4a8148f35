-- What a reopening was for came to nothing: the request is sealed as before, unless another run of it goes on or was
-- archived since. Of one that was never reopened nothing changes.
UPDATE request
SET sealed_at = (
    SELECT CASE event WHEN 'request_reopened' THEN (details ->> 'sealed_at')::timestamptz END
    FROM event JOIN pipeline_run USING (pipeline_run_id)
    WHERE pipeline_run.request_id = request.request_id AND event IN ('request_reopened', 'archived')
    ORDER BY sequence DESC
    LIMIT 1
)
WHERE request_id = (SELECT request_id FROM pipeline_run WHERE pipeline_run_id = %(pipeline_run_id)s)
    AND sealed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM pipeline_run WHERE pipeline_run.request_id = request.request_id AND state = ANY(%(going_on)s)
    )
