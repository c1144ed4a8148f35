-- How many runs are in each state, and for how long the one that has been in it for longest.
SELECT
    split_part(pipeline_run_id, '-', 1) AS family,
    state,
    count(*) AS runs,
    greatest(extract(epoch FROM clock_timestamp() - min(state_since)), 0)::double precision AS oldest_seconds
FROM pipeline_run
WHERE state <> 'cleaned'
GROUP BY 1, 2
