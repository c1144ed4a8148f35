SELECT
    since, last_error, clock_timestamp() - since AS lasts,
    (SELECT count(*) FROM mail WHERE sent_at IS NULL AND pending <> '{}') AS waiting
FROM mail_server_away
