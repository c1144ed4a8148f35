INSERT INTO retention (kind, days) VALUES (%(kind)s, %(days)s)
ON CONFLICT (kind) DO UPDATE SET days = excluded.days, set_at = now()
