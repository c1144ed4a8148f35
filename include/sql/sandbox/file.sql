INSERT INTO file (file_group_id, ngas_file_id, version, size, checksum, checksum_type, subdirectory, relative_path, ngas_server)
VALUES (%(file_group_id)s, %(ngas_file_id)s, %(version)s, %(size)s, %(checksum)s, %(checksum_type)s, %(subdirectory)s,
        %(relative_path)s, %(ngas_server)s)
