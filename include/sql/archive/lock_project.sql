-- One ingest into a project at a time: held until the transaction ends, whichever way. Whatever else ingests into this
-- archive takes the same lock.
SELECT pg_advisory_xact_lock(hashtext('srdp ingest into a project'), hashtext(%(project_code)s))
