-- The clock that state_since is set by.
SELECT clock_timestamp() AS now
