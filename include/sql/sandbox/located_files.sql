-- The files of what has a locator: an execution block, an ASDM of a MOUS, a calibration. No row if there is no such thing,
-- one without a file if it has none.
SELECT file.ngas_file_id, file.subdirectory, file.relative_path, file.version, file.size, file.checksum, file.checksum_type,
       ngas_server.address, ngas_server.location, ngas_server.cluster
FROM (
    SELECT file_group_id FROM execution_block WHERE locator = %(locator)s
    UNION
    SELECT file_group_id FROM mous_member WHERE locator = %(locator)s
    UNION
    SELECT file_group_id FROM calibration WHERE locator = %(locator)s
) AS located
LEFT JOIN file USING (file_group_id)
LEFT JOIN ngas_server ON ngas_server.name = file.ngas_server
ORDER BY file.subdirectory, file.relative_path
