INSERT INTO product_file (pipeline_run_id, number, path, size_bytes, crc32)
VALUES (%(pipeline_run_id)s, %(number)s, %(path)s, %(size_bytes)s, %(crc32)s)
