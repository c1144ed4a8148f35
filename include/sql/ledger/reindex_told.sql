-- Requests that still wait and of which it was told that the archive takes none, of whatever project.
SELECT reindex_id
FROM reindex_request JOIN event USING (pipeline_run_id)
WHERE done_at IS NULL AND event = 'reindex_not_taken' AND (details ->> 'for_all')::boolean
LIMIT 1
