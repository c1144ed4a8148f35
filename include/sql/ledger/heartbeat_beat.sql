-- Overwritten also where it lies ahead: a clock that was set back must not hide that all goes on.
INSERT INTO heartbeat (name) VALUES (%(name)s)
ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at
