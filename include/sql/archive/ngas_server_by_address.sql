-- The server that has this address; no row if the archive does not know it.
SELECT name FROM ngas_server WHERE lower(address) = lower(%(address)s) ORDER BY name LIMIT 1
