INSERT INTO fetched_file (pipeline_run_id, path, size_bytes, crc32, ngas_file_id, ngas_version, mtime_ns)
VALUES (
    %(pipeline_run_id)s, %(path)s, %(size_bytes)s, %(crc32)s, %(ngas_file_id)s, %(ngas_version)s, %(mtime_ns)s)
ON CONFLICT (pipeline_run_id, path) DO UPDATE SET
    size_bytes = excluded.size_bytes,
    crc32 = excluded.crc32,
    ngas_file_id = excluded.ngas_file_id,
    ngas_version = excluded.ngas_version,
    mtime_ns = excluded.mtime_ns
