-- The files of an image set; no row if it has none.
SELECT file.kind, file.ngas_file_id, file.version, file.size, file.checksum, file.checksum_type, file.relative_path,
       ngas_server.address
FROM image_set
JOIN file USING (file_group_id)
JOIN ngas_server ON ngas_server.name = file.ngas_server
WHERE image_set.locator = %(locator)s
ORDER BY file.kind, file.ngas_file_id, file.version
