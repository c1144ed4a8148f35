SELECT first_started_at, watermark FROM observation_watch WHERE name = %(name)s
