-- Projects: one ingest at a time, and the search index.

-- name: project_of
-- The project of an execution block or of a MOUS, whichever is not NULL; no row if the archive does not have it.
SELECT project_code FROM execution_block WHERE locator = %(execution_block_locator)s
UNION ALL
SELECT project_code FROM mous WHERE mous_uid = %(mous_uid)s

-- name: lock_project
-- One ingest into a project at a time: held until the transaction ends, whichever way. Whatever else ingests into this
-- archive takes the same lock.
SELECT pg_advisory_xact_lock(hashtext('srdp ingest into a project'), hashtext(%(project_code)s))

-- name: limit_waiting
-- For the present transaction alone: how long it waits for what another transaction holds, and after how long the server
-- ends it if its client is gone. Both in milliseconds, as text.
SELECT set_config('lock_timeout', %(longest_wait)s, true),
       set_config('idle_in_transaction_session_timeout', %(longest_silence)s, true)

-- name: request_reindex
-- Asks for a project to be indexed again; asked twice before it is done, it is done once. No row if the archive does not
-- have the project. Used with SRDP_REINDEX=sql.
INSERT INTO reindex_request (project_code)
SELECT project_code FROM project WHERE project_code = %(project_code)s
ON CONFLICT (project_code) DO UPDATE SET requested_at = clock_timestamp()
RETURNING project_code
