SELECT name, extract(epoch FROM clock_timestamp() - beat_at)::double precision AS seconds_ago FROM heartbeat
