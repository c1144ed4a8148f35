-- The files of an execution block; no row if there is no such execution block, one without a file if it has none.
SELECT file.ngas_file_id, file.subdirectory, file.relative_path, file.version, file.size, file.checksum, file.checksum_type,
       ngas_server.address, ngas_server.location, ngas_server.cluster
FROM execution_block
LEFT JOIN file USING (file_group_id)
LEFT JOIN ngas_server ON ngas_server.name = file.ngas_server
WHERE execution_block.locator = %(locator)s
ORDER BY file.subdirectory, file.relative_path
