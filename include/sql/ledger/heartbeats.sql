-- For how long each thing has not been done; the row without a name: since when there are these tables.
SELECT name, extract(epoch FROM clock_timestamp() - beat_at)::double precision AS seconds_ago FROM heartbeat
UNION ALL
SELECT NULL, extract(epoch FROM clock_timestamp() - max(applied_at))::double precision FROM schema_version
