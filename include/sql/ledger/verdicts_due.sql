-- Each change that is written into the archive is recorded with its number.
SELECT pipeline_run_id
FROM pipeline_run JOIN event USING (pipeline_run_id)
WHERE state = 'archived' AND event IN ('verdict_changed', 'changed_verdict_written')
GROUP BY pipeline_run_id
HAVING count(*) FILTER (WHERE event = 'verdict_changed')
    > coalesce(max((details ->> 'number')::integer) FILTER (WHERE event = 'changed_verdict_written'), 0)
ORDER BY pipeline_run_id
