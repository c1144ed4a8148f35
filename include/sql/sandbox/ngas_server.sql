-- The address may be another after a restart on other ports; the files that lie there keep their server.
INSERT INTO ngas_server (name, address, location, cluster)
VALUES (%(name)s, %(address)s, %(location)s, %(cluster)s)
ON CONFLICT (name) DO UPDATE SET address = excluded.address
