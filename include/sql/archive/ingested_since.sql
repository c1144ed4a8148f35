-- Everything that came into the archive at or after a time, system SDMs and what is not to be calibrated included.
SELECT locator, name, calibration_status, ingested_at
FROM execution_block
WHERE ingested_at >= %(since)s
ORDER BY ingested_at, name
