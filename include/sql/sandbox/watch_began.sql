-- What is ingested before the ingestion sensor's first start is history to it.
SELECT count(*) > 0 AS began FROM observation_watch
