-- The ledger itself: its clock, its release, its server, and the signs of life in it.

-- name: clock
-- The clock that state_since is set by.
SELECT clock_timestamp() AS now

-- name: heartbeat_beat
-- Overwritten also where it is ahead: a clock that was set back must not hide that all continues.
INSERT INTO heartbeat (name) VALUES (%(name)s)
ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at

-- name: heartbeats
-- For how long each thing has not been done; the row without a name: since when there are these tables.
SELECT name, extract(epoch FROM clock_timestamp() - beat_at)::double precision AS seconds_ago FROM heartbeat
UNION ALL
SELECT NULL, extract(epoch FROM clock_timestamp() - max(applied_at))::double precision FROM schema_version

-- name: ledger_version
SELECT coalesce(max(number), 0) AS version FROM schema_version

-- name: server_process
-- The number of the server's process; a pooler reports another one to its clients.
SELECT pg_backend_pid() AS process
