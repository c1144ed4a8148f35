SELECT path, size_bytes, crc32, ngas_file_id, ngas_version, mtime_ns
FROM fetched_file
WHERE pipeline_run_id = %(pipeline_run_id)s
ORDER BY path
