SELECT ngas_file_id, kind, name, mime_type, size_bytes, crc32, product, sent_at, ngas_version, proved_at
FROM archived_file
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s
ORDER BY kind, ngas_file_id
