-- What is ingested before the first start of watch_observations is history to it.
SELECT count(*) > 0 AS began FROM observation_watch
