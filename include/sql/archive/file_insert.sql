-- One file of a file group; ngas_server is a name that ngas_server_by_address.sql has returned.
INSERT INTO file (file_group_id, kind, ngas_file_id, version, size, checksum, checksum_type, relative_path, ngas_server)
VALUES (%(file_group_id)s, %(kind)s, %(ngas_file_id)s, %(version)s, %(size)s, %(checksum)s, %(checksum_type)s,
        %(relative_path)s, %(ngas_server)s)
