-- The files that a run is made from.

-- name: fetched_file_upsert
INSERT INTO fetched_file (pipeline_run_id, path, size_bytes, crc32, ngas_file_id, ngas_version, mtime_ns)
VALUES (
    %(pipeline_run_id)s, %(path)s, %(size_bytes)s, %(crc32)s, %(ngas_file_id)s, %(ngas_version)s, %(mtime_ns)s)
ON CONFLICT (pipeline_run_id, path) DO UPDATE SET
    size_bytes = excluded.size_bytes,
    crc32 = excluded.crc32,
    ngas_file_id = excluded.ngas_file_id,
    ngas_version = excluded.ngas_version,
    mtime_ns = excluded.mtime_ns

-- name: fetched_files_of_run
SELECT path, size_bytes, crc32, ngas_file_id, ngas_version, mtime_ns
FROM fetched_file
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY path

-- name: submitted_file_upsert
INSERT INTO submitted_file (pipeline_run_id, name, source, sha256, content)
VALUES (%(pipeline_run_id)s, %(name)s, %(source)s, %(sha256)s, %(content)s)
ON CONFLICT (pipeline_run_id, name) DO UPDATE
SET source = excluded.source, sha256 = excluded.sha256, content = excluded.content

-- name: submitted_files_of_run
SELECT name, source, content FROM submitted_file WHERE pipeline_run_id = %(pipeline_run_id)s ORDER BY name
