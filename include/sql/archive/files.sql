-- Files of calibrations and image sets, and the NGAS servers that have them.

-- name: ngas_server_by_address
-- The server that has this address; no row if the archive does not know it.
SELECT name FROM ngas_server WHERE lower(address) = lower(%(address)s) ORDER BY name LIMIT 1

-- name: file_group_insert
-- A new file group, still empty.
INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id

-- name: file_insert
-- One file of a file group; ngas_server is a name that ngas_server_by_address.sql has returned.
INSERT INTO file (file_group_id, kind, ngas_file_id, version, size, checksum, checksum_type, relative_path, ngas_server)
VALUES (%(file_group_id)s, %(kind)s, %(ngas_file_id)s, %(version)s, %(size)s, %(checksum)s, %(checksum_type)s,
        %(relative_path)s, %(ngas_server)s)

-- name: files_of_calibration
-- The files of a calibration; no row if it has none.
SELECT file.kind, file.ngas_file_id, file.version, file.size, file.checksum, file.checksum_type, file.relative_path,
       ngas_server.address
FROM calibration
JOIN file USING (file_group_id)
JOIN ngas_server ON ngas_server.name = file.ngas_server
WHERE calibration.locator = %(locator)s
ORDER BY file.kind, file.ngas_file_id, file.version

-- name: files_of_image_set
-- The files of an image set; no row if it has none.
SELECT file.kind, file.ngas_file_id, file.version, file.size, file.checksum, file.checksum_type, file.relative_path,
       ngas_server.address
FROM image_set
JOIN file USING (file_group_id)
JOIN ngas_server ON ngas_server.name = file.ngas_server
WHERE image_set.locator = %(locator)s
ORDER BY file.kind, file.ngas_file_id, file.version
