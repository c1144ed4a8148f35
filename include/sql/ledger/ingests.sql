-- Verdicts, and what their ingests put into NGAS and the archive.

-- name: ingest_insert
INSERT INTO ingest (pipeline_run_id, number, dag_id, dag_run_id, requested_by, qa_flag, verdict)
SELECT
    %(pipeline_run_id)s, coalesce(max(number), 0) + 1, %(dag_id)s, %(dag_run_id)s, %(requested_by)s, %(qa_flag)s,
    %(verdict)s
FROM ingest
WHERE pipeline_run_id = %(pipeline_run_id)s

-- name: ingest_claim_again
UPDATE ingest
SET tries = tries + 1, dag_id = %(dag_id)s, dag_run_id = %(dag_run_id)s, requested_by = %(requested_by)s
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL

-- name: ingest_set_verdict
UPDATE ingest SET qa_flag = %(qa_flag)s, verdict = %(verdict)s
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL

-- name: ingest_withdraw
UPDATE ingest SET withdrawn_at = now()
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL

-- name: ingest_committed
UPDATE ingest SET committed_at = coalesce(committed_at, now())
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s

-- name: ingest_in_force
SELECT
    pipeline_run_id, number, claimed_at, tries, dag_id, dag_run_id, requested_by, verdict, committed_at,
    metadata_begun_at
FROM ingest
WHERE pipeline_run_id = %(pipeline_run_id)s AND withdrawn_at IS NULL

-- name: ingests_of_run
SELECT
    pipeline_run_id, number, claimed_at, tries, dag_id, dag_run_id, requested_by, verdict, committed_at,
    metadata_begun_at
FROM ingest
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY number

-- name: ingest_files
SELECT ngas_file_id, kind, name, mime_type, size_bytes, crc32, product, sent_at, ngas_version, proved_at
FROM archived_file
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s
ORDER BY kind, ngas_file_id

-- name: ingest_file_insert
INSERT INTO archived_file (
    ngas_file_id, pipeline_run_id, number, kind, name, mime_type, size_bytes, crc32, product)
VALUES (
    %(ngas_file_id)s, %(pipeline_run_id)s, %(number)s, %(kind)s, %(name)s, %(mime_type)s, %(size_bytes)s, %(crc32)s,
    %(product)s)

-- name: ingest_file_sent
UPDATE archived_file SET sent_at = coalesce(sent_at, now()) WHERE ngas_file_id = %(ngas_file_id)s

-- name: ingest_file_proved
UPDATE archived_file SET ngas_version = %(version)s, proved_at = coalesce(proved_at, now())
WHERE ngas_file_id = %(ngas_file_id)s

-- name: ingest_files_remove_unsent
DELETE FROM archived_file
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s AND sent_at IS NULL

-- name: ingest_products
SELECT path, size_bytes, crc32
FROM product_file
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s
ORDER BY path

-- name: ingest_product_insert
INSERT INTO product_file (pipeline_run_id, number, path, size_bytes, crc32)
VALUES (%(pipeline_run_id)s, %(number)s, %(path)s, %(size_bytes)s, %(crc32)s)

-- name: ingest_products_remove
DELETE FROM product_file WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s

-- name: ingest_metadata_begun
UPDATE ingest SET metadata_begun_at = now()
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s AND metadata_begun_at IS NULL
