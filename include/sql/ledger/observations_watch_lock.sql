-- Two at once take turns.
SELECT first_started_at, watermark FROM observation_watch WHERE name = %(name)s FOR UPDATE
