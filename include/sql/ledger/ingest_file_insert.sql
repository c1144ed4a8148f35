INSERT INTO archived_file (
    ngas_file_id, pipeline_run_id, number, kind, name, mime_type, size_bytes, crc32, product)
VALUES (
    %(ngas_file_id)s, %(pipeline_run_id)s, %(number)s, %(kind)s, %(name)s, %(mime_type)s, %(size_bytes)s, %(crc32)s,
    %(product)s)
