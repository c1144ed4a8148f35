-- The clock that ingested_at is set by.
SELECT clock_timestamp() AS now
