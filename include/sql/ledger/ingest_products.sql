SELECT path, size_bytes, crc32
FROM product_file
WHERE pipeline_run_id = %(pipeline_run_id)s AND number = %(number)s
ORDER BY path
